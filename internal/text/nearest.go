// Package text formats and compares text for people. It imports nothing of the
// project, so every other package may import it.
package text

import "slices"

// Nearest returns the word that s most likely is a typing error for, or "" if
// none is close: at most a third of the letters of s may differ.
func Nearest(s string, words []string) string {
	best, least := "", max(1, len(s)/3)+1
	for _, w := range words {
		if d := distance(s, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// NearestFew returns at most n words, the most similar to s first. Words that are
// equally similar keep their order.
func NearestFew(s string, words []string, n int) []string {
	distances := make(map[string]int, len(words))
	for _, w := range words {
		distances[w] = distance(s, w)
	}
	sorted := slices.Clone(words)
	slices.SortStableFunc(sorted, func(a, b string) int { return distances[a] - distances[b] })
	return sorted[:min(n, len(sorted))]
}

// distance returns how many letters must be inserted, deleted or replaced to turn
// a into b (Levenshtein). Words of the same letters in another order, such as tsl
// and tls, have distance 1.
func distance(a, b string) int {
	if a != b && sameLetters(a, b) {
		return 1
	}
	row := make([]int, len(b)+1) // the distances of a[:i] from each b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func sameLetters(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}
