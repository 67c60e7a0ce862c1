package daemon

import (
	"fmt"
	"net"

	"github.com/prometheus/client_golang/prometheus"
)

// connMetrics are the metrics of all listeners.
type connMetrics struct {
	errors, refusals, evictions *prometheus.CounterVec
}

func newConnMetrics() connMetrics {
	return connMetrics{newAcceptErrors(), newRefusals(), newEvictions()}
}

func newAcceptErrors() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "xoauthd_accept_errors_total",
		Help: "Connections that could not be accepted, for example without a free file descriptor, by listener.",
	}, []string{"listener"})
}

func newRefusals() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "xoauthd_connections_refused_total",
		Help: "Connections closed because the listener was overloaded and their source opened more than 100 a second, by listener.",
	}, []string{"listener"})
}

func newEvictions() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "xoauthd_http_connections_evicted_total",
		Help: "HTTP connections closed to make place for others, by endpoint.",
	}, []string{"endpoint"})
}

// wrapListeners wraps all listeners in acceptors, and limits the rate and the number of
// connections.
func (d *Daemon) wrapListeners() error {
	rates := make(map[string]*rateLimit) // by protocol
	for i := range d.listeners {
		l := &d.listeners[i]
		protocol := l.to.Protocol
		if rates[protocol] == nil {
			rates[protocol] = newRateLimit(protocol, d.log, d.conns.refusals.WithLabelValues(protocol))
		}
		rate := rates[protocol]
		if len(l.to.Proxies) > 0 {
			rate = nil // all connections come from the load balancer
		}
		if err := d.wrap(&l.Listener, protocol, rate); err != nil {
			return err
		}
	}
	for name, e := range map[string]*endpoint{"web": d.web, "metrics": d.metrics, "control": d.api} {
		if e == nil {
			continue
		}
		rate, most := newRateLimit(name, d.log, d.conns.refusals.WithLabelValues(name)), d.budget.http
		if e == d.api {
			rate, most = nil, apiConns // only root and the daemon's user can connect
		}
		limit := newConnLimit(most, d.conns.evictions.WithLabelValues(name))
		for i := range e.listeners {
			if err := d.wrap(&e.listeners[i], name, rate); err != nil {
				return err
			}
			e.listeners[i] = limitedListener{e.listeners[i], limit}
		}
	}
	return nil
}

// wrap replaces ln by an acceptor, which survives errors and is part of the health check.
// If rate is not nil, the listener refuses connections above that rate.
func (d *Daemon) wrap(ln *net.Listener, name string, rate *rateLimit) error {
	if rate != nil {
		r, err := refusing(*ln, rate.refuse)
		if err != nil {
			return fmt.Errorf("%s: %w", (*ln).Addr(), err)
		}
		*ln = r
	}
	a := newAcceptor(*ln, name, d.log, d.conns.errors.WithLabelValues(name))
	d.acceptors = append(d.acceptors, a)
	*ln = a
	return nil
}
