// Package text formats, quotes and compares text that people read or write. It
// imports no other package of this module, so every package may import it. All its
// functions may be called concurrently.
package text

import "slices"

// Nearest returns the word most similar to s, to suggest a correction of a typing
// error. It returns "" if no word is close: at most a third of the letters of s, and
// at least one, may differ.
func Nearest[T ~string](s string, words []T) (best T) {
	least := max(1, len(s)/3) + 1
	for _, w := range words {
		if d := distance(s, string(w)); d < least {
			best, least = w, d
		}
	}
	return best
}

// NearestFew returns at most n of words, the most similar to s first. Equally similar
// words keep their order. It does not modify words.
func NearestFew(s string, words []string, n int) []string {
	distances := make(map[string]int, len(words))
	for _, w := range words {
		distances[w] = distance(s, w)
	}
	sorted := slices.Clone(words)
	slices.SortStableFunc(sorted, func(a, b string) int { return distances[a] - distances[b] })
	return sorted[:min(n, len(sorted))]
}

// distance returns the Levenshtein distance of a and b: the number of letters to
// insert, delete or replace. Words with the same letters in another order, such as
// tsl and tls, have distance 1.
func distance(a, b string) int {
	if a != b && sameLetters(a, b) {
		return 1
	}
	row := make([]int, len(b)+1) // row[j] is the distance of a[:i] and b[:j]
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
