package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/xoauthd/xoauthd/internal/shutdown"
	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// An endpoint is an HTTP server with its listeners.
type endpoint struct {
	listeners []net.Listener
	users     []uint32 // users whose programs may connect; empty is all
	finder    *peercred.Finder
	log       *slog.Logger
	server    *http.Server
	handlers  sync.WaitGroup // running handlers, and the goroutines that they have started

	shutdown *shutdown.Shutdown // for handlers, and the goroutines that they have started
}

// newEndpoint returns a server with short time limits and small headers. A callback, which
// waits for the provider and mail servers, extends its time limit itself, until the
// deadline of the shutdown.
func newEndpoint(listeners []net.Listener, log *slog.Logger) *endpoint {
	e := &endpoint{listeners: listeners, log: log, shutdown: shutdown.New()}
	e.server = &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       15 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ConnContext:       withConn,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return e
}

// handle sets the handler. It must be called before serve.
func (e *endpoint) handle(h http.Handler) {
	e.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.handlers.Add(1)
		defer e.handlers.Done()
		defer serving(r)()
		h.ServeHTTP(w, r)
	})
}

// The shutdown waits for running requests: a person may return from the provider with a
// code that is valid once. Together with lastRefresh, that is less than TimeoutStopSec of
// the unit.
const (
	lastRequest = 14 * time.Second // for running requests: longer than the exchange of a code
	lastAnswer  = 3 * time.Second  // for their answers
)

// serve serves until ctx is done. It returns when no handler runs, nor a goroutine that
// one has started.
func (e *endpoint) serve(ctx context.Context) error {
	ended := make(chan error, len(e.listeners))
	for _, ln := range e.listeners {
		go func() { ended <- e.serveAt(ln) }()
	}
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	e.shutdown.Begin()
	defer e.shutdown.Expire()
	defer time.AfterFunc(lastRequest, e.shutdown.Expire).Stop()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastRequest+lastAnswer)
	defer cancel()
	if e.server.Shutdown(last) != nil {
		e.server.Close()
	}
	// The rest has no connection, such as a device code that was just entered. It must be
	// saved before the store is closed.
	e.handlers.Wait()
	if err != nil {
		return err
	}
	for range e.listeners {
		err = errors.Join(err, <-ended)
	}
	return err
}

// serveAt serves one listener until the server is shut down.
func (e *endpoint) serveAt(ln net.Listener) error {
	if len(e.users) > 0 {
		ln = &userListener{Listener: ln, users: e.users, finder: e.finder, log: e.log}
	}
	if err := e.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", ln.Addr(), err)
	}
	return nil
}

// close closes the listeners.
func (e *endpoint) close() {
	for _, ln := range e.listeners {
		ln.Close()
	}
}

// openMetrics opens the endpoint for monitoring.
func (d *Daemon) openMetrics(o *opener) (*endpoint, error) {
	all, err := o.open(d.config.Metrics.Endpoint)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.registry, promhttp.HandlerOpts{
		ErrorLog:          metricsLog{d.log},
		EnableOpenMetrics: true,
		Registry:          d.registry,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "alive\n")
	})
	// Ready means that programs can connect. The state of accounts is a metric: one that is
	// not authorized must not take the others out of service.
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !d.ready.Load() {
			http.Error(w, "starting or stopping", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ready\n")
	})
	e := newEndpoint(all, d.log)
	e.users, e.finder = d.config.Metrics.LocalUsers, &d.proxy.Peers
	e.handle(guardHosts(d.config.Metrics.Hosts, mux))
	return e, nil
}

// A metricsLog logs the errors of the metrics handler. A client that has left is logged at
// the level debug: clients could cause thousands of lines.
type metricsLog struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (l metricsLog) Println(v ...any) {
	level, text := slog.LevelDebug, strings.TrimSpace(fmt.Sprintln(v...))
	if strings.HasPrefix(text, "error gathering") {
		level = slog.LevelError
	}
	l.log.Log(context.Background(), level, "metrics request failed", "error", text)
}
