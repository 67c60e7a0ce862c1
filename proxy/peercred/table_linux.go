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

// tables reads the kernel's tables of TCP sockets in /proc, for kernels and
// containers without sock_diag(7). A read takes 10 ms and more: lookups at the same
// time share one.
type tables struct {
	mu   sync.Mutex
	next *tableRead // that has not begun; nil if nobody waits for one

	reading sync.Mutex
	rest    time.Time // the next read begins no earlier; guarded by reading
}

// find looks up the socket that is connected from local to remote. Sockets come
// and go while a table is read, and a read may miss a row; so a missing one is
// looked up twice.
func (t *tables) find(local, remote netip.AddrPort) (uid uint32, err error) {
	keys := rowKeys(local, remote)
	for range 2 {
		uid, err = t.lookUp(keys)
		if !errors.Is(err, errNoSocket) {
			break
		}
	}
	return uid, err
}

// A tableRead is one read of the kernel's tables, for all who joined before it
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

// lookUp joins the next read of the tables, which the first one who joined makes.
// A read that has begun does not do: it may be past the row.
func (t *tables) lookUp(keys []string) (uid uint32, err error) {
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
		time.Sleep(time.Until(t.rest))
		t.mu.Lock()
		t.next = nil
		t.mu.Unlock()
		start := time.Now()
		r.err = r.readTables()
		// As long a pause keeps reading to half of one processor, however many
		// connections there are.
		t.rest = time.Now().Add(time.Since(start))
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

// maxTable bounds what is read of a table, in bytes: a row for every port of two
// addresses is less.
const maxTable = 20 << 20

// readTable fills in the owners by a table as proc_pid_net(5) describes it.
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

// parseOwner reads the owner from a row without its number. A socket without an
// inode is held by nobody any more; the kernel writes that it is root's, whoever
// held it.
func parseOwner(row string) (owner, error) {
	const uidColumn, inodeColumn = 6, 8
	columns := strings.Fields(row)
	if len(columns) <= inodeColumn || columns[inodeColumn] == "0" {
		return owner{}, nil
	}
	uid, err := strconv.ParseUint(columns[uidColumn], 10, 32)
	return owner{uint32(uid), err == nil}, err
}

// rowKeys returns how a row of a socket that is connected from local to remote may
// begin, behind its number: an IPv4 address as itself or as an IPv6 socket has it.
func rowKeys(local, remote netip.AddrPort) []string {
	mapped := rowAddr(local, true) + " " + rowAddr(remote, true)
	if local.Addr().Unmap().Is6() {
		return []string{mapped}
	}
	return []string{rowAddr(local, false) + " " + rowAddr(remote, false), mapped}
}

// rowAddr is how a table writes a, of 16 bytes or as short as can be: in words of
// the machine's byte order.
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
