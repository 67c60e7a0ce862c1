package relay

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// BenchmarkRelay measures the throughput between an upstream with TLS and a plain client, by
// record size, and that of io.Copy for comparison.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"16KiB", 16 << 10}, {"1400B", 1400}} {
		for name, start := range map[string]func(testing.TB) *tcpRelay{"relay": startRelay, "copy": startCopy} {
			b.Run("down/"+size.name+"/"+name, func(b *testing.B) {
				r := start(b)
				transfer(b, r.upstream, r.client, size.bytes)
			})
			b.Run("up/"+size.name+"/"+name, func(b *testing.B) {
				r := start(b)
				transfer(b, r.client, r.upstream, size.bytes)
			})
		}
	}
}

func startRelay(t testing.TB) *tcpRelay { return startTCP(t, tls.VersionTLS13, asIs) }

// startCopy starts a relay by io.Copy.
func startCopy(t testing.TB) *tcpRelay {
	c1, c2 := connect(t)
	u1, u2 := connect(t)
	r := &tcpRelay{client: c1}
	var ours *tls.Conn
	r.upstream = secure(t, u1, tls.VersionTLS13, func(config *tls.Config) error {
		ours = tls.Client(u2, config)
		return ours.Handshake()
	})
	go io.Copy(c2, ours)
	go io.Copy(ours, c2)
	t.Cleanup(func() {
		for _, c := range []net.Conn{c1, c2, u1, u2} {
			c.Close()
		}
	})
	return r
}

func transfer(b *testing.B, from io.Writer, to io.Reader, size int) {
	b.SetBytes(int64(size))
	record := noise(size)
	go func() {
		for range b.N {
			if _, err := from.Write(record); err != nil {
				return
			}
		}
	}()
	if _, err := io.CopyN(io.Discard, to, int64(b.N)*int64(size)); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPingPong measures one command and its reply through a relay.
func BenchmarkPingPong(b *testing.B) {
	r := startRelay(b)
	go io.Copy(r.upstream, r.upstream)
	line := []byte("a1 NOOP\r\n")
	for b.Loop() {
		r.client.Write(line)
		if _, err := io.ReadFull(r.client, line); err != nil {
			b.Fatal(err)
		}
	}
	r.client.Close()
}

// BenchmarkIdle measures the memory of an idle relay after one short line. It includes the
// test's ends of the connections.
func BenchmarkIdle(b *testing.B) {
	const n = 200
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range n {
			r := startRelay(b)
			r.client.SetDeadline(time.Now().Add(time.Minute))
			io.WriteString(r.client, "a1 NOOP\r\n")
			if _, err := io.ReadFull(r.upstream, make([]byte, 9)); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc+after.StackInuse-before.StackInuse)/n, "B/session")
	}
}
