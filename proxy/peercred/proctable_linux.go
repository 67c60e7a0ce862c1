package peercred

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// procTables looks up sockets in the kernel's TCP tables in /proc, for kernels and
// containers without sock_diag(7). A read takes 10 ms or more, so concurrent lookups
// share one. It is safe for concurrent use.
type procTables struct {
	mu   sync.Mutex
	next *tableRead // not yet begun; nil if no lookup waits

	reading  sync.Mutex
	nextRead time.Time // earliest time of the next read; guarded by reading
}

// find looks up the socket that is connected from local to remote. A read may miss a
// row while sockets come and go, so find looks up a missing socket twice.
func (t *procTables) find(local, remote netip.AddrPort) (uid uint32, err error) {
	keys := rowKeys(local, remote)
	for range 2 {
		uid, err = t.lookUp(keys)
		if !errors.Is(err, errNoSocket) {
			break
		}
	}
	return uid, err
}

// A tableRead is one read of the tables, for all lookups that joined before it
// began.
type tableRead struct {
	once   sync.Once
	owners map[string]owner // by row key; complete when once is done
	err    error
}

// An owner is the user of one socket.
type owner struct {
	uid   uint32
	found bool
}

// lookUp joins the next read of the tables. The first lookup that joined performs
// the read. lookUp cannot join a read in progress, which may have passed the row
// already.
func (t *procTables) lookUp(keys []string) (uid uint32, err error) {
	t.mu.Lock()
	r := t.next
	if r == nil {
		r = &tableRead{owners: make(map[string]owner)}
		t.next = r
	}
	for _, key := range keys {
		r.owners[key] = owner{}
	}
	t.mu.Unlock()

	r.once.Do(func() {
		t.reading.Lock()
		defer t.reading.Unlock()
		time.Sleep(time.Until(t.nextRead))
		t.mu.Lock()
		t.next = nil
		t.mu.Unlock()
		start := time.Now()
		r.err = r.readTables()
		// An equally long pause limits the reads to half of one processor.
		t.nextRead = time.Now().Add(time.Since(start))
	})
	for _, key := range keys {
		if o := r.owners[key]; o.found {
			return o.uid, nil
		}
	}
	if r.err != nil {
		return 0, r.err
	}
	return 0, errNoSocket
}

func (r *tableRead) readTables() error {
	for _, path := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) { // IPv6 may be off
			continue
		}
		if err != nil {
			return err
		}
		err = r.readTable(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// maxTable is the maximum size of a table in bytes. A table with a row for every
// port of two addresses is smaller.
const maxTable = 20 << 20

// readTable fills in the owners from a table in the format of proc_pid_net(5).
func (r *tableRead) readTable(table io.Reader) error {
	rows := bufio.NewScanner(io.LimitReader(table, maxTable))
	for rows.Scan() {
		// "   0: 0100007F:9C40 0100007F:1F90 01 …"
		_, row, _ := bytes.Cut(rows.Bytes(), []byte(": "))
		local := bytes.IndexByte(row, ' ')
		if local < 0 {
			continue
		}
		remote := bytes.IndexByte(row[local+1:], ' ')
		if remote < 0 {
			continue
		}
		key := row[:local+1+remote]
		if _, wanted := r.owners[string(key)]; !wanted {
			continue
		}
		o, err := parseOwner(string(row))
		if err != nil {
			return err
		}
		if o.found {
			r.owners[string(key)] = o
		}
	}
	return rows.Err()
}

// parseOwner returns the owner in a row without its number. A socket without an
// inode is not held by any process, and the kernel shows root as its user.
func parseOwner(row string) (owner, error) {
	const uidColumn, inodeColumn = 6, 8
	columns := strings.Fields(row)
	if len(columns) <= inodeColumn || columns[inodeColumn] == "0" {
		return owner{}, nil
	}
	uid, err := strconv.ParseUint(columns[uidColumn], 10, 32)
	return owner{uint32(uid), err == nil}, err
}

// rowKeys returns the possible beginnings, after the number, of the row of a socket
// that is connected from local to remote. An IPv4 address appears as itself or, for
// an IPv6 socket, as a mapped address.
func rowKeys(local, remote netip.AddrPort) []string {
	mapped := rowAddr(local, true) + " " + rowAddr(remote, true)
	if local.Addr().Unmap().Is6() {
		return []string{mapped}
	}
	return []string{rowAddr(local, false) + " " + rowAddr(remote, false), mapped}
}

// rowAddr returns a as the table shows it, in words of native byte order. long
// selects 16 octets.
func rowAddr(a netip.AddrPort, long bool) string {
	octets := a.Addr().Unmap().AsSlice()
	if long {
		all := a.Addr().As16()
		octets = all[:]
	}
	var b strings.Builder
	for word := range slices.Chunk(octets, 4) {
		fmt.Fprintf(&b, "%08X", binary.NativeEndian.Uint32(word))
	}
	fmt.Fprintf(&b, ":%04X", a.Port())
	return b.String()
}
