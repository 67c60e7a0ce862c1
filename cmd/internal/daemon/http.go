package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// An endpoint is an HTTP server with its listener.
type endpoint struct {
	net.Listener
	server   *http.Server
	handlers sync.WaitGroup     // those that run, and what they leave running
	hurry    context.CancelFunc // ends what handlers wait for; may be called often
}

// newEndpoint returns a server that nobody can hold up for long, or make
// remember much. A callback, which waits for the provider and for mail servers,
// takes more time for itself, until hurry is called.
func newEndpoint(ln net.Listener, h http.Handler, hurry context.CancelFunc, log *slog.Logger) *endpoint {
	e := &endpoint{Listener: ln, hurry: hurry}
	e.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			e.handlers.Add(1)
			defer e.handlers.Done()
			h.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return e
}

// The end waits for requests: a person may be coming back from the provider with
// a code that is good only once. With lastRefresh, which comes after, that is
// less than the 30 seconds of the unit's TimeoutStopSec.
const (
	lastRequest = 14 * time.Second // to finish: more than the exchange of a code may take
	lastAnswer  = 3 * time.Second  // to answer, with nothing left to wait for
)

// serve serves until ctx is done, and then finishes what it has begun: when it
// returns, no handler runs.
func (e *endpoint) serve(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- e.server.Serve(e.Listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving %s: %w", e.Addr(), err)
	case <-ctx.Done():
	}
	defer time.AfterFunc(lastRequest, e.hurry).Stop()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastRequest+lastAnswer)
	defer cancel()
	if err := e.server.Shutdown(last); err != nil {
		e.server.Close()
	}
	// A handler that is left now has neither a connection nor time. What it does
	// is save, and the store must not be closed before that is done.
	e.hurry()
	e.handlers.Wait()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", e.Addr(), err)
	}
	return nil
}

// openMetrics opens the endpoint that machines watch.
func (d *Daemon) openMetrics() (*endpoint, error) {
	ln, err := open(d.config.Metrics.Address)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.registry, promhttp.HandlerOpts{
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelError),
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
	return newEndpoint(ln, mux, func() {}, d.log), nil
}
