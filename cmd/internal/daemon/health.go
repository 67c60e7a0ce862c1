package daemon

import (
	"context"
	"fmt"
	"net"

	"github.com/prometheus/client_golang/prometheus"
)

// newAcceptErrors returns the metric of what acceptors count.
func newAcceptErrors() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "xoauthd_accept_errors_total",
		Help: "Connections that could not be accepted, such as for want of descriptors, by listener.",
	}, []string{"listener"})
}

// newEvictions returns the metric of what connLimits count.
func newEvictions() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "xoauthd_http_connections_evicted_total",
		Help: "HTTP connections that were closed to make place for others, by endpoint.",
	}, []string{"endpoint"})
}

// wrapListeners makes acceptors of all listeners, and bounds the connections of
// the HTTP endpoints.
func (d *Daemon) wrapListeners() {
	for i := range d.listeners {
		l := &d.listeners[i]
		l.Listener = d.acceptor(l.Listener, l.to.Protocol)
	}
	for name, e := range map[string]*endpoint{"web": d.web, "metrics": d.metrics} {
		if e == nil {
			continue
		}
		limit := newConnLimit(d.budget.http, d.evictions.WithLabelValues(name))
		for i, ln := range e.listeners {
			e.listeners[i] = limitedListener{d.acceptor(ln, name), limit}
		}
	}
	d.control = d.acceptor(d.control, "control")
}

// acceptor returns ln as a listener that gets over errors and is part of the
// health check.
func (d *Daemon) acceptor(ln net.Listener, name string) net.Listener {
	a := newAcceptor(ln, name, d.log, d.acceptErrors.WithLabelValues(name))
	d.acceptors = append(d.acceptors, a)
	return a
}

// healthy returns nil if a session begins, every listener is accepted from, and
// every account answers. It needs no descriptor: a restart would not help a daemon
// that is out of them, and would end the sessions that it has.
func (d *Daemon) healthy(ctx context.Context) error {
	err := d.proxy.Probe(ctx, d.listeners[0].to.Protocol)
	for _, a := range d.acceptors {
		if err == nil {
			err = a.probe(ctx)
		}
	}
	if err == nil {
		err = d.probeAccounts(ctx)
	}
	if err != nil {
		d.log.Error("health check failed", "error", err.Error())
	}
	return err
}

// probeAccounts returns an error if an account's lock is held until ctx is done.
func (d *Daemon) probeAccounts(ctx context.Context) error {
	accounts, next := d.accounts.list(), make(chan struct{})
	go func() {
		for _, a := range accounts {
			a.Status()
			select {
			case next <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for _, a := range accounts {
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("account %s does not answer: %w", a.Name(), ctx.Err())
		}
	}
	return nil
}
