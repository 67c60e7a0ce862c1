package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"time"
)

// A reception says how a message arrived.
type reception struct {
	size     int64 // bytes of the message
	tooLarge bool  // it is larger than the limit; the rest was dropped
	bareLF   bool  // a line ends in LF alone
	failed   error // of the writer; the rest was dropped
}

// receive reads a message up to the line with a single dot and writes it to w, without the
// dots that RFC 5321 section 4.5.2 adds. Other bytes are unchanged, except on a connection
// of a device, where lines that end in LF alone get CRLF. It writes at most limit bytes, 0
// is no limit, but reads all. An error means that the message is not complete; the
// connection cannot be used after it.
//
// Only CRLF "." CRLF ends a message. A device that ends its commands with LF alone may end
// the message so too. A client that ends commands with CRLF cannot: what another server
// took for text within a message is never the end of it here. But if a device sends CRLF "."
// LF and then nothing, it waits for the reply. A server that relays mail doubles a dot after
// CRLF, and does not stop within a message, so nobody can make it send that.
func (c *commandConn) receive(w io.Writer, limit int64) (reception, error) {
	var got reception
	device := c.device != nil
	lf := device && c.lf
	end := time.Now().Add(c.limits.Data)
	atStart, afterCR := true, false
	put := func(p []byte) {
		got.size += int64(len(p))
		switch {
		case limit > 0 && got.size > limit:
			got.tooLarge = true
		case got.failed == nil:
			_, got.failed = w.Write(p)
		}
	}
	for {
		if c.in.Buffered() == 0 {
			until := time.Now().Add(c.limits.Idle)
			if until.After(end) {
				until = end
			}
			c.waitUntil(until)
		}
		line, err := c.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			c.err = err
			return got, err
		}
		hasLF := err == nil
		hasCRLF := hasLF && (bytes.HasSuffix(line, []byte("\r\n")) || len(line) == 1 && afterCR)
		if atStart && line[0] == '.' {
			if string(line) == ".\r\n" || string(line) == ".\n" && (lf || device && c.waits()) {
				c.rest = []byte(".\r\n") // for the reader of go-smtp
				return got, nil
			}
			line = line[1:]
		}
		got.bareLF = got.bareLF || hasLF && !hasCRLF
		if device && hasLF && !hasCRLF {
			put(line[:len(line)-1])
			put([]byte("\r\n"))
		} else {
			put(line)
		}
		atStart = hasCRLF || hasLF && lf
		afterCR = bytes.HasSuffix(line, []byte("\r"))
	}
}

// finalDotWait is how long a device must send nothing after a final dot with a wrong line end.
const finalDotWait = 3 * time.Second

// waits reports whether the device sends nothing for finalDotWait.
func (c *commandConn) waits() bool {
	c.waitUntil(time.Now().Add(finalDotWait))
	_, err := c.in.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded)
}
