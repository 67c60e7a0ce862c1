package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// A stop is a handler that holds all requests in the middle of their bodies until there are
// enough of them, and then measures.
type stop struct {
	n       int
	measure func()

	mu   sync.Mutex
	here int
	open chan struct{}
}

func (s *stop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.CopyN(io.Discard, r.Body, r.ContentLength/2)
	s.mu.Lock()
	if s.here++; s.here == s.n {
		s.measure()
		close(s.open)
	}
	s.mu.Unlock()
	<-s.open
	io.Copy(io.Discard, r.Body)
	io.WriteString(w, `{"id":"1"}`)
}

// heldMemory has senders send a message of size bytes at the same time by the Gmail API. It
// returns the memory in bytes that is in use when all requests are half sent.
func heldMemory(t testing.TB, senders int, size int64) int64 {
	inUse := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	var held int64
	s := &stop{n: senders, open: make(chan struct{}), measure: func() { held = inUse() }}
	server := httptest.NewServer(s)
	defer server.Close()
	f := newFixture(t, &Gmail{BaseURL: server.URL})
	block := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 1000)
	before := inUse()
	var all sync.WaitGroup
	for range senders {
		c := f.connect(t, nil).login()
		all.Go(func() {
			c.say("MAIL FROM:<joe@example.com>", "250 ")
			c.say("RCPT TO:<ann@example.net>", "250 ")
			c.say("DATA", "354 ")
			c.send(message)
			for n := int64(0); n < size; n += int64(len(block)) {
				c.send(block)
			}
			c.send(".\r\n")
			c.expect("250 ")
		})
	}
	all.Wait()
	return held - before
}

// TestMemory: what a sender costs does not depend on the size of its message.
func TestMemory(t *testing.T) {
	const senders = 50
	held := heldMemory(t, senders, 2<<20)
	t.Logf("%d KiB for each sender", held/senders>>10)
	if limit := int64(senders * 300 << 10); held > limit {
		t.Errorf("%d senders of 2 MB: %d MiB, want at most %d", senders, held>>20, limit>>20)
	}
}

func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(float64(heldMemory(b, 100, 30<<20))/(1<<20), "MiB/100senders")
	}
}

func BenchmarkGraph(b *testing.B) {
	for _, size := range []int{2 << 10, 100 << 10, 2 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			accept := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusAccepted)
			})
			server := httptest.NewServer(accept)
			defer server.Close()
			f := newFixture(b, &Graph{BaseURL: server.URL})
			c := f.connect(b, nil).login()
			content := message + strings.Repeat(strings.Repeat("x", 76)+"\r\n", size/78)
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if got := c.transmit(content, "ann@example.net"); got[:3] != "250" {
					b.Fatal(got)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
