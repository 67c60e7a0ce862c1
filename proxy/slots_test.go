package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/xoauthd/xoauthd/internal/panics"
	"github.com/xoauthd/xoauthd/proxy/limit"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// TestTenThousandWait checks that ten thousand clients are served in their order, while the
// logins of some fail or panic, and some clients leave before.
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
			x := &session{server: s, listener: &Listener{Protocol: "smtp"}, client: wire.New(ours, time.Hour), record: new(sessionRecord), stopping: t.Context()}
			ctx, leave := context.WithCancel(t.Context())
			if i%10 == 9 {
				time.AfterFunc(time.Millisecond, leave)
			}
			all.Go(func() {
				defer leave()
				panics.Catch(func() error {
					u, err := x.withSlots(ctx, []limit.Limit{{Of: "account", Max: most}}, func() (*upstreamSession, error) {
						mu.Lock()
						if i < last-2*most { // a hundred receive slots together, and some between them have left
							t.Errorf("%d is served after %d", i, last)
						}
						last, served = max(last, i), served+1
						mu.Unlock()
						time.Sleep(time.Second)
						switch i % 4 {
						case 1:
							return nil, errors.New("refused")
						case 2:
							panic("a mistake")
						}
						return &upstreamSession{upstreamConn: &upstreamConn{conn: wire.New(unconnected{}, time.Hour)}}, nil
					})
					if err == nil {
						u.end()
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
		if got := testutil.ToFloat64(s.Metrics.queued.WithLabelValues("smtp")); got != 0 || s.semaphore.Len() != 0 {
			t.Errorf("%v wait, %d limits are taken", got, s.semaphore.Len())
		}
	})
}
