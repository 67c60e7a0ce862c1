package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/xoauthd/xoauthd/internal/panics"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A place is a bound of one that has no more room.
func place(what string) bound { return bound{what, 1, "limits.test"} }

func isIn(t *waiter) bool {
	select {
	case <-t.in:
		return true
	default:
		return false
	}
}

// Who gets in is told after each step: a number joins or, with a minus, leaves.
func TestQueue(t *testing.T) {
	a, b := place("a"), place("b")
	two := bound{"a", 2, "limits.test"}
	for _, test := range []struct {
		name   string
		bounds [][]bound // of each
		steps  []int
		in     []int // who has come in, in order
	}{
		{"first come, first served", [][]bound{{a}, {a}, {a}, {a}}, []int{1, 2, 3, 4, -1, -2, -3}, []int{1, 2, 3, 4}},
		{"as many as there is room for", [][]bound{{two}, {two}, {two}}, []int{1, 2, 3, -2}, []int{1, 2, 3}},
		{"who left does not come in", [][]bound{{a}, {a}, {a}}, []int{1, 2, 3, -2, -1}, []int{1, 3}},
		{"who cannot come in holds nobody up", [][]bound{{a}, {b}, {a, b}, {b}}, []int{1, 2, 3, 4, -2}, []int{1, 2, 4}},
		{"and comes in when it can", [][]bound{{a}, {b}, {a, b}, {b}}, []int{1, 2, 3, 4, -2, -1, -4}, []int{1, 2, 4, 3}},
		{"one who needs more was there first", [][]bound{{a, b}, {a, b}, {b}, {a}}, []int{1, 2, 3, 4, -1}, []int{1, 2}},
		{"one who needs less was there first", [][]bound{{a, b}, {b}, {a, b}, {a}}, []int{1, 2, 3, 4, -1}, []int{1, 2, 4}},
		{"no bound", [][]bound{{{"a", 0, ""}}, {{"a", 0, ""}}}, []int{1, 2}, []int{1, 2}},
	} {
		var q queue
		tickets := make([]*waiter, len(test.bounds)+1)
		var in []int
		for _, n := range test.steps {
			if n < 0 {
				q.leave(tickets[-n])
				tickets[-n] = nil
			} else {
				tickets[n] = q.join(slices.Clone(test.bounds[n-1]))
			}
			for i, w := range tickets {
				if w != nil && isIn(w) && !slices.Contains(in, i) {
					in = append(in, i)
				}
			}
		}
		if !slices.Equal(in, test.in) {
			t.Errorf("%s: in came %v, want %v", test.name, in, test.in)
		}
		for _, w := range tickets {
			if w != nil {
				q.leave(w)
			}
		}
		if len(q.slots) != 0 {
			t.Errorf("%s: left are %v", test.name, q.slots)
		}
	}
}

// Whatever comes and goes, no bound is passed, nobody waits who could go, and
// nothing is left.
func TestQueueKeepsBounds(t *testing.T) {
	var q queue
	random := rand.New(rand.NewPCG(1, 2))
	var there []*waiter
	for range 20000 {
		if len(there) < 50 && random.IntN(2) == 0 {
			account := fmt.Sprint("account ", random.IntN(3))
			there = append(there, q.join([]bound{
				{account, 4, ""}, {fmt.Sprint("login ", random.IntN(2), " of ", account), 2, ""}, {fmt.Sprint("address ", random.IntN(4)), 3, ""},
			}))
		} else if len(there) > 0 {
			i := random.IntN(len(there))
			q.leave(there[i])
			there = slices.Delete(there, i, i+1)
		}
		taken := map[string]int{}
		for _, w := range there {
			for _, b := range w.bounds {
				if isIn(w) {
					taken[b.what]++
				}
			}
		}
		for _, w := range there {
			free := true
			for _, b := range w.bounds {
				if taken[b.what] > b.most {
					t.Fatalf("%d are in: %v", taken[b.what], &b)
				}
				free = free && taken[b.what] < b.most
			}
			if !isIn(w) && free {
				t.Fatalf("%d waits, and there is room", w.number)
			}
		}
	}
	for _, w := range there {
		q.leave(w)
	}
	if len(q.slots) != 0 {
		t.Errorf("left are %v", q.slots)
	}
}

// Of ten thousand clients at once each is served in its turn, whatever becomes of
// the others: some fail, some panic, and some have gone before.
func TestTenThousandWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, most = 10000, 100
		s, _ := newTestServer(nil)
		s.Limits.Queue = time.Hour
		start := time.Now()
		var all sync.WaitGroup
		var mu sync.Mutex
		last, served := 0, 0
		for i := range n {
			client, ours := net.Pipe()
			defer client.Close()
			x := &session{Server: s, l: &Listener{Protocol: "smtp"}, client: wire.New(ours, time.Hour), record: new(record), stopping: t.Context()}
			ctx, leave := context.WithCancel(t.Context())
			if i%10 == 9 {
				time.AfterFunc(time.Millisecond, leave)
			}
			all.Go(func() {
				defer leave()
				panics.Catch(func() error {
					_, _, release, err := x.enter(ctx, []bound{{"account", most, ""}}, func() (*link, []string, error) {
						mu.Lock()
						if i < last-2*most { // a hundred come in together, and some between them have gone
							t.Errorf("%d is served after %d", i, last)
						}
						last, served = max(last, i), served+1
						mu.Unlock()
						time.Sleep(time.Second)
						switch i % 4 {
						case 1:
							return nil, nil, errors.New("refused")
						case 2:
							panic("a mistake")
						}
						return new(link), nil, nil
					})
					if err == nil {
						release()
					}
					return err
				})
			})
			synctest.Wait() // until it has its number
		}
		if got := testutil.ToFloat64(s.Metrics.queued.WithLabelValues("smtp")); got != n-most {
			t.Errorf("%v wait", got)
		}
		all.Wait()
		if want := n - n/10 + most/10; served != want || time.Since(start) != time.Duration(want/most+1)*time.Second {
			t.Errorf("%d were served in %v, want %d", served, time.Since(start), want)
		}
		if got := testutil.ToFloat64(s.Metrics.queued.WithLabelValues("smtp")); got != 0 || len(s.queue.slots) != 0 {
			t.Errorf("%v wait, left are %v", got, s.queue.slots)
		}
	})
}
