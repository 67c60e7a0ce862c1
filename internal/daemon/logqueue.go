package daemon

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xoauthd/xoauthd/config"
)

const (
	// maxPending limits the queued log lines, in bytes.
	maxPending = 1 << 20

	// logFlush limits how long Close waits for the reader of the log.
	logFlush = time.Second
)

// A Log is a logger that never waits for the reader of its output: it queues
// lines, and a goroutine writes them. It drops lines while the queue is full,
// counts them, and logs their number as soon as it can write again.
type Log struct {
	*slog.Logger
	w    io.Writer
	wake chan struct{} // holds a token when there is something to do
	done chan struct{} // closed when the last line is written

	mu       sync.Mutex
	pending  []byte
	dropped  int // lines
	reported int // of these, the number that was logged
	closed   bool
}

// OpenLog returns the log of the configuration. The caller must call Close.
func OpenLog(c config.Log, w io.Writer) *Log {
	l := &Log{w: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.Logger = NewLog(c, l)
	go l.run()
	return l
}

// Write queues whole lines. It never fails and never blocks.
func (l *Log) Write(lines []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending)+len(lines) > maxPending {
		l.dropped += bytes.Count(lines, newline)
	} else {
		l.pending = append(l.pending, lines...)
	}
	l.signal()
	return len(lines), nil
}

var newline = []byte("\n")

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Close writes the queued lines, for at most logFlush. Later lines are lost.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.signal()
	l.mu.Unlock()
	select {
	case <-l.done:
	case <-time.After(logFlush):
	}
	return nil
}

// run writes queued lines until the log is closed.
func (l *Log) run() {
	defer close(l.done)
	for range l.wake {
		for {
			batch, last := l.take()
			if len(batch) == 0 {
				if last {
					return
				}
				break
			}
			if _, err := l.w.Write(batch); err != nil {
				l.lost(bytes.Count(batch, newline))
			} else {
				l.reportDropped()
			}
		}
	}
}

// take returns the queued lines. last is true after Close.
func (l *Log) take() (batch []byte, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch, l.pending = l.pending, nil
	return batch, l.closed
}

// lost counts lines that could not be written.
func (l *Log) lost(lines int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped += lines
}

// reportDropped logs how many lines were dropped since its last call.
func (l *Log) reportDropped() {
	l.mu.Lock()
	n := l.dropped - l.reported
	l.reported = l.dropped
	l.mu.Unlock()
	if n > 0 {
		l.Error("log lines dropped", "lines", n, "reason", "the reader of the log was too slow")
	}
}

// Collector returns the metrics of the log.
func (l *Log) Collector() prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "xoauthd_log_lines_dropped_total",
		Help: "Log lines dropped because the reader of the log was too slow.",
	}, func() float64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return float64(l.dropped)
	})
}
