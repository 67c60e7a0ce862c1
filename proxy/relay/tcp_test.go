package relay

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// noise returns n pseudo-random bytes.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// writeChunks writes b in chunks of random sizes, up to most.
func writeChunks(w io.Writer, b []byte, most int) error {
	for len(b) > 0 {
		n := min(1+rand.IntN(most), len(b))
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// A tearing is a connection that sends every record in pieces.
type tearing struct{ net.Conn }

func (c tearing) Write(p []byte) (int, error) {
	if err := writeChunks(c.Conn, p, 1+len(p)/2); err != nil {
		return 0, err
	}
	runtime.Gosched()
	return len(p), nil
}

func TestRelayIsExact(t *testing.T) {
	for name, version := range versions {
		for _, test := range []struct {
			name     string
			size     int
			most     int // bytes at a time
			upstream func(net.Conn) net.Conn
		}{
			{"large writes", 8 << 20, 300 << 10, asIs},
			{"small writes", 1 << 20, 3000, asIs},
			{"torn records", 1 << 20, 20 << 10, func(c net.Conn) net.Conn { return tearing{c} }},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				r := startTCP(t, version, test.upstream)
				up, down := noise(test.size), noise(test.size+1)
				var all sync.WaitGroup
				send := func(w io.Writer, b []byte) {
					if err := writeChunks(w, b, test.most); err != nil {
						t.Error(err)
					}
				}
				receive := func(r io.Reader, want []byte) {
					got := make([]byte, len(want))
					if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
						t.Errorf("the received bytes differ: %v", err)
					}
				}
				all.Go(func() { send(r.client, up) })
				all.Go(func() { send(r.upstream, down) })
				all.Go(func() { receive(r.client, down) })
				all.Go(func() { receive(r.upstream, up) })
				all.Wait()
				r.client.CloseWrite()
				if n, err := r.upstream.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("the half-close is not passed on: %d, %v", n, err)
				}
				r.upstream.Close()
				if why := <-r.ended; why != "client closed" {
					t.Error(why)
				}
			})
		}
	}
}

// A holding is a connection that collects writes in held, if that is set.
type holding struct {
	net.Conn
	held *bytes.Buffer
}

func (c holding) Write(p []byte) (int, error) {
	if c.held == nil {
		return c.Conn.Write(p)
	}
	return c.held.Write(p)
}

// TestRelayCoalesces checks that small records that have arrived become one write.
func TestRelayCoalesces(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			hold := &holding{}
			r := startTCP(t, version, func(c net.Conn) net.Conn { hold.Conn = c; return hold })
			hold.held = new(bytes.Buffer)
			const records = 20
			for range records {
				r.upstream.Write(noise(1400))
			}
			if _, err := hold.Conn.Write(hold.held.Bytes()); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(r.client, make([]byte, records*1400)); err != nil {
				t.Fatal(err)
			}
			if n := r.writes.Load(); n > 5 {
				t.Errorf("%d records became %d writes", records, n)
			}
		})
	}
}

// TestRelayHalfClose checks that a half-closed client receives the late reply to QUIT.
func TestRelayHalfClose(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			r := startTCP(t, version, asIs)
			io.WriteString(r.client, "QUIT\r\n")
			r.client.CloseWrite()
			if got, err := io.ReadAll(r.upstream); string(got) != "QUIT\r\n" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
			answer := noise(300 << 10)
			go func() {
				r.upstream.Write(answer)
				r.upstream.Close()
			}()
			if got, err := io.ReadAll(r.client); !bytes.Equal(got, answer) || err != nil {
				t.Errorf("%d bytes of %d, %v", len(got), len(answer), err)
			}
			if why := <-r.ended; why != "client closed" {
				t.Error(why)
			}
		})
	}
}

// TestRelayTail checks that a client that is still sending receives everything that the
// upstream has sent before it closed.
func TestRelayTail(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			r := startTCP(t, version, asIs)
			tail := noise(8 << 20)
			stop := make(chan struct{})
			var sending sync.WaitGroup
			sending.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := r.client.Write(tail[:64<<10]); err != nil {
						t.Errorf("client: %v", err)
						return
					}
				}
			})
			go func() {
				r.upstream.Write(tail)
				r.upstream.CloseWrite()
				r.socket.CloseWrite()
				io.Copy(io.Discard, r.upstream)
			}()
			got, err := io.ReadAll(r.client)
			close(stop)
			sending.Wait()
			if !bytes.Equal(got, tail) {
				t.Errorf("%d bytes of %d, %v", len(got), len(tail), err)
			}
			r.client.Close()
			<-r.ended
		})
	}
}

// TestRelayClientVanishes checks that a reset by the client closes the upstream connection.
func TestRelayClientVanishes(t *testing.T) {
	for _, busy := range []bool{true, false} {
		t.Run(fmt.Sprint("busy=", busy), func(t *testing.T) {
			r := startTCP(t, tls.VersionTLS13, asIs)
			written := make(chan error, 1)
			if busy {
				go func() {
					for {
						if _, err := r.upstream.Write(make([]byte, 64<<10)); err != nil {
							written <- err
							return
						}
					}
				}()
				io.ReadFull(r.client, make([]byte, 1<<20))
			}
			r.client.SetLinger(0) // a reset
			r.client.Close()
			r.socket.SetDeadline(time.Now().Add(5 * time.Second))
			if busy {
				if err := <-written; os.IsTimeout(err) {
					t.Error("the connection of the upstream is open")
				}
			} else if _, err := r.upstream.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
				t.Errorf("the connection of the upstream is open: %v", err)
			}
			// The system reports a reset once. If the write has received it, the read ends
			// as after a close, and may be the first to set the reason.
			why := <-r.ended
			if !bytes.HasPrefix([]byte(why), []byte("client lost: ")) && !(busy && why == "client closed") {
				t.Error(why)
			}
		})
	}
}

// TestRelayUpstreamVanishes checks that after a reset by the upstream the client receives the
// bytes before it, and the connection is closed.
func TestRelayUpstreamVanishes(t *testing.T) {
	r := startTCP(t, tls.VersionTLS13, asIs)
	io.WriteString(r.upstream, "* 1 EXISTS\r\n")
	got := make([]byte, 12)
	if _, err := io.ReadFull(r.client, got); err != nil {
		t.Fatal(err)
	}
	r.socket.SetLinger(0)
	r.socket.Close()
	r.client.SetDeadline(time.Now().Add(5 * time.Second))
	if n, err := r.client.Read(got); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
	r.client.Close()
	if why := <-r.ended; !bytes.HasPrefix([]byte(why), []byte("upstream lost: ")) {
		t.Error(why)
	}
}

// TestRelayIdleHoldsNoBuffer checks the memory of idle relays. Records are small here,
// because crypto/tls keeps a buffer for the largest record of a connection.
func TestRelayIdleHoldsNoBuffer(t *testing.T) {
	const n = 50
	relays := make([]*tcpRelay, n)
	for i := range relays {
		relays[i] = newTCP(t, tls.VersionTLS13, asIs)
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // sync.Pool keeps buffers through one
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	burst := noise(1400)
	for _, r := range relays {
		go r.start()
		go r.upstream.Write(burst)
		if _, err := io.ReadFull(r.client, make([]byte, len(burst))); err != nil {
			t.Fatal(err)
		}
		go r.client.Write(burst)
		if _, err := io.ReadFull(r.upstream, make([]byte, len(burst))); err != nil {
			t.Fatal(err)
		}
	}
	if grown := (int64(heap()) - int64(before)) / n; grown > 24<<10 {
		t.Errorf("an idle relay holds %d KiB more than before", grown>>10)
	} else {
		t.Logf("%d bytes for an idle relay", grown)
	}
}
