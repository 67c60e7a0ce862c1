package config

import "slices"

// nearest returns the word that key is most likely a slip for, or "".
func nearest(key string, words []string) string {
	best, least := "", max(1, len(key)/3)+1
	for _, w := range words {
		d := distance(key, w)
		if sameLetters(key, w) {
			d = 1 // as tsl for tls
		}
		if d < least {
			best, least = w, d
		}
	}
	return best
}

func sameLetters(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// distance returns how many letters must be put in, taken out or changed to
// make b of a (Levenshtein).
func distance(a, b string) int {
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
