package limit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func hasSlots(w *Waiter) bool {
	select {
	case <-w.Acquired():
		return true
	default:
		return false
	}
}

func TestSemaphore(t *testing.T) {
	a, b, two := Limit{"a", 1, "limits.test"}, Limit{"b", 1, "limits.test"}, Limit{"a", 2, "limits.test"}
	for _, test := range []struct {
		name     string
		limits   [][]Limit // of each waiter
		steps    []int     // n: waiter n acquires; -n: it releases
		acquired []int     // waiters that have received their slots, in order
	}{
		{"first come, first served", [][]Limit{{a}, {a}, {a}, {a}}, []int{1, 2, 3, 4, -1, -2, -3}, []int{1, 2, 3, 4}},
		{"as many as the limit", [][]Limit{{two}, {two}, {two}}, []int{1, 2, 3, -2}, []int{1, 2, 3}},
		{"a waiter that has left receives no slot", [][]Limit{{a}, {a}, {a}}, []int{1, 2, 3, -2, -1}, []int{1, 3}},
		{"a waiter that cannot go on does not block others", [][]Limit{{a}, {b}, {a, b}, {b}}, []int{1, 2, 3, 4, -2}, []int{1, 2, 4}},
		{"and receives its slots when all are free", [][]Limit{{a}, {b}, {a, b}, {b}}, []int{1, 2, 3, 4, -2, -1, -4}, []int{1, 2, 4, 3}},
		{"an older waiter that needs more comes first", [][]Limit{{a, b}, {a, b}, {b}, {a}}, []int{1, 2, 3, 4, -1}, []int{1, 2}},
		{"an older waiter that needs less comes first", [][]Limit{{a, b}, {b}, {a, b}, {a}}, []int{1, 2, 3, 4, -1}, []int{1, 2, 4}},
		{"no limit", [][]Limit{{{"a", 0, ""}}, {{"a", 0, ""}}}, []int{1, 2}, []int{1, 2}},
	} {
		var s Semaphore
		waiters := make([]*Waiter, len(test.limits)+1)
		var acquired []int
		for _, n := range test.steps {
			if n < 0 {
				waiters[-n].Release()
				waiters[-n] = nil
			} else {
				waiters[n] = s.Acquire(test.limits[n-1]...)
			}
			for i, w := range waiters {
				if w != nil && hasSlots(w) && !slices.Contains(acquired, i) {
					acquired = append(acquired, i)
				}
			}
		}
		if !slices.Equal(acquired, test.acquired) {
			t.Errorf("%s: %v have slots, want %v", test.name, acquired, test.acquired)
		}
		for _, w := range waiters {
			if w != nil {
				w.Release()
			}
		}
		if s.Len() != 0 {
			t.Errorf("%s: left are %v", test.name, s.slots)
		}
	}
}

// TestFull checks the error that names the limit.
func TestFull(t *testing.T) {
	var s Semaphore
	limits := []Limit{{"account joe@example.com", 2, "limits.sessions_per_account"}, {"login phone", 1, "limits.sessions_per_login"}}
	first, second := s.Acquire(limits...), s.Acquire(limits...)
	if first.Full() != nil {
		t.Errorf("the first waits: %v", first.Full())
	}
	if want := "session limit reached: 1 for login phone (limits.sessions_per_login)"; second.Full().Error() != want {
		t.Errorf("%v, want %s", second.Full(), want)
	}
	first.Release()
	if second.Full() != nil {
		t.Errorf("the second waits: %v", second.Full())
	}
}

// TestSemaphoreKeepsLimits checks with random waiters that no limit is exceeded, that no
// waiter waits for free slots, and that nothing is left.
func TestSemaphoreKeepsLimits(t *testing.T) {
	var s Semaphore
	random := rand.New(rand.NewPCG(1, 2))
	var all []*Waiter
	for range 20000 {
		if len(all) < 50 && random.IntN(2) == 0 {
			account := fmt.Sprint("account ", random.IntN(3))
			all = append(all, s.Acquire(
				Limit{account, 4, ""}, Limit{fmt.Sprint("login ", random.IntN(2), " of ", account), 2, ""}, Limit{fmt.Sprint("address ", random.IntN(4)), 3, ""},
			))
		} else if len(all) > 0 {
			i := random.IntN(len(all))
			all[i].Release()
			all = slices.Delete(all, i, i+1)
		}
		taken := map[string]int{}
		for _, w := range all {
			for _, l := range w.limits {
				if hasSlots(w) {
					taken[l.Of]++
				}
			}
		}
		for _, w := range all {
			free := true
			for _, l := range w.limits {
				if taken[l.Of] > l.Max {
					t.Fatalf("%d have slots: %v", taken[l.Of], &l)
				}
				free = free && taken[l.Of] < l.Max
			}
			if !hasSlots(w) && free {
				t.Fatalf("%d waits for free slots", w.number)
			}
		}
	}
	for _, w := range all {
		w.Release()
	}
	if s.Len() != 0 {
		t.Errorf("left are %v", s.slots)
	}
}
