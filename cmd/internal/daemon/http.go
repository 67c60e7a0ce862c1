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

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// An endpoint is an HTTP server with its listeners.
type endpoint struct {
	listeners []net.Listener
	users     []uint32 // whose programs alone may connect; empty: all
	finder    *peercred.Finder
	log       *slog.Logger
	server    *http.Server
	handlers  sync.WaitGroup // those that run, and what they leave running

	// The two ends of what handlers, and what they leave running, wait for.
	stopping context.Context // done when nobody is waited for who has not come yet
	late     context.Context // done when there is no time left to wait for anybody
	stop     context.CancelFunc
	hurry    context.CancelFunc
}

// newEndpoint returns a server that nobody can hold up for long, or make
// remember much. A callback, which waits for the provider and for mail servers,
// takes more time for itself, until late is done.
func newEndpoint(listeners []net.Listener, log *slog.Logger) *endpoint {
	e := &endpoint{listeners: listeners, log: log}
	e.stopping, e.stop = context.WithCancel(context.Background())
	e.late, e.hurry = context.WithCancel(context.Background())
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

// handle makes h answer all requests. It is to be called before serve.
func (e *endpoint) handle(h http.Handler) {
	e.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.handlers.Add(1)
		defer e.handlers.Done()
		defer serving(r)()
		h.ServeHTTP(w, r)
	})
}

// The end waits for what was begun: a person may be coming back from the provider
// with a code that is good only once. With lastRefresh, which comes after, that
// is less than the 90 seconds of the unit's TimeoutStopSec.
const (
	lastRequest = 14 * time.Second // to finish: more than the exchange of a code may take
	lastAnswer  = 3 * time.Second  // to answer, with nothing left to wait for
)

// serve serves until ctx is done, and then finishes what it has begun: when it
// returns, no handler runs, nor anything that one has left running.
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
	e.stop()
	defer e.hurry()
	defer time.AfterFunc(lastRequest, e.hurry).Stop()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastRequest+lastAnswer)
	defer cancel()
	if e.server.Shutdown(last) != nil {
		e.server.Close()
	}
	// What is left has no connection: a device's code that was agreed to just
	// now, say. It has its time all the same, and then still saves: the store
	// must not be closed before that is done.
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

// openMetrics opens the endpoint that machines watch.
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
	// Ready means that programs can connect. Whether each account is authorized
	// is a metric: one that is not must not take the others out of service.
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

// A metricsLog logs the errors of the metrics' handler. That a client has left is
// not worth a line, of which a client could cause thousands.
type metricsLog struct{ log *slog.Logger }

// Println is the method of promhttp.Logger.
func (l metricsLog) Println(v ...any) {
	level, text := slog.LevelDebug, strings.TrimSpace(fmt.Sprintln(v...))
	if strings.HasPrefix(text, "error gathering") {
		level = slog.LevelError
	}
	l.log.Log(context.Background(), level, "metrics", "error", text)
}
