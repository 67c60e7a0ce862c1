package peercred

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// word returns a word of four octets as a table shows it.
func word(octets ...byte) string { return fmt.Sprintf("%08X", binary.NativeEndian.Uint32(octets)) }

// table returns a table of sockets in the format of the kernel. A row is "local
// remote state uid inode".
func table(rows ...string) string {
	text := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	for i, row := range rows {
		f := strings.Fields(row)
		text += fmt.Sprintf("%4d: %s %s %s 00000000:00000000 00:00000000 00000000 %5s        0 %s 1 0000000000000000 20 4 30 10 -1\n",
			i, f[0], f[1], f[2], f[3], f[4])
	}
	return text
}

// ownerIn returns the owner of a connection according to a table.
func ownerIn(table, local, remote string) (owner, error) {
	r := &tableRead{owners: make(map[string]owner)}
	keys := rowKeys(netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote))
	for _, key := range keys {
		r.owners[key] = owner{}
	}
	err := r.readTable(strings.NewReader(table))
	for _, key := range keys {
		if r.owners[key].found {
			return r.owners[key], err
		}
	}
	return owner{}, err
}

func TestOwner(t *testing.T) {
	here, zero := word(127, 0, 0, 1), word(0, 0, 0, 0)
	mapped := zero + zero + word(0, 0, 0xff, 0xff) + here
	loopback6 := zero + zero + zero + word(0, 0, 0, 1)
	for _, test := range []struct {
		name, table    string
		local, remote  string
		uid            uint32
		found, wantErr bool
	}{
		{"the client's socket", table(here+":1F90 "+here+":9C40 01 0 5", here+":9C40 "+here+":1F90 01 1001 7"),
			"127.0.0.1:40000", "127.0.0.1:8080", 1001, true, false},
		{"IPv6", table(loopback6 + ":9C40 " + loopback6 + ":1F90 01 1001 7"), "[::1]:40000", "[::1]:8080", 1001, true, false},
		{"IPv4 on an IPv6 socket", table(mapped + ":9C40 " + mapped + ":1F90 01 1001 7"), "127.0.0.1:40000", "127.0.0.1:8080", 1001, true, false},
		{"mapped IPv4 address", table(here + ":9C40 " + here + ":1F90 01 1001 7"),
			"[::ffff:127.0.0.1]:40000", "[::ffff:127.0.0.1]:8080", 1001, true, false},
		{"a socket without an inode", table(here + ":9C40 " + here + ":1F90 05 0 0"), "127.0.0.1:40000", "127.0.0.1:8080", 0, false, false},
		{"the other end", table(here + ":1F90 " + here + ":9C40 01 0 5"), "127.0.0.1:40000", "127.0.0.1:8080", 0, false, false},
		{"another port", table(here + ":9C41 " + here + ":1F90 01 0 5"), "127.0.0.1:40000", "127.0.0.1:8080", 0, false, false},
		{"an invalid uid", table(here + ":9C40 " + here + ":1F90 01 4294967296 5"), "127.0.0.1:40000", "127.0.0.1:8080", 0, false, true},
		{"empty", "", "127.0.0.1:40000", "127.0.0.1:8080", 0, false, false},
		{"an endless row", strings.Repeat("x", 1<<20), "127.0.0.1:40000", "127.0.0.1:8080", 0, false, true},
	} {
		o, err := ownerIn(test.table, test.local, test.remote)
		if o != (owner{test.uid, test.found}) || (err != nil) != test.wantErr {
			t.Errorf("%s: %+v, %v", test.name, o, err)
		}
	}
}

// FuzzOwner checks that a user comes from a row that contains it.
func FuzzOwner(f *testing.F) {
	here := word(127, 0, 0, 1)
	f.Add(table(here+":1F90 "+here+":9C40 01 0 5", here+":9C40 "+here+":1F90 01 1001 7"))
	f.Add(table(here + ":9C40 " + here + ":1F90 05 0 0"))
	f.Add("0: 1 2\n\n")
	f.Fuzz(func(t *testing.T, table string) {
		o, err := ownerIn(table, "127.0.0.1:40000", "127.0.0.1:8080")
		if err == nil && o.found && (!strings.Contains(table, strconv.Itoa(int(o.uid))) || !strings.Contains(table, ":9C40")) {
			t.Errorf("user %d", o.uid)
		}
	})
}

// Concurrent lookups share a read of the tables, and each finds its own socket.
func TestLookupsShareReads(t *testing.T) {
	const n = 100
	me := uint32(os.Getuid())
	var tables procTables
	tables.reading.Lock() // simulates a read in progress
	var all sync.WaitGroup
	for range n {
		_, ours := connectLocal(t, "tcp4", "127.0.0.1:0")
		all.Go(func() {
			from, to := ours.RemoteAddr().(*net.TCPAddr).AddrPort(), ours.LocalAddr().(*net.TCPAddr).AddrPort()
			if uid, err := tables.find(from, to); uid != me || err != nil {
				t.Errorf("user %d, %v", uid, err)
			}
		})
	}
	joined := func() bool {
		tables.mu.Lock()
		defer tables.mu.Unlock()
		return tables.next != nil && len(tables.next.owners) == 2*n // as IPv4 and mapped
	}
	for deadline := time.Now().Add(10 * time.Second); !joined() && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if !joined() {
		t.Error("not all lookups joined the same read")
	}
	tables.reading.Unlock()
	all.Wait()
}
