package daemon

import (
	"context"
	"net"
	"net/http"
	"strconv"
)

// connKey is the context key of a request's connection.
type connKey struct{}

// withConn is an http.Server's ConnContext.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// source returns the source of a request: the user of a program on this machine, else the
// IP address. Requests through one reverse proxy have one source.
func (d *Daemon) source(r *http.Request) string {
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		if uid, err := d.proxy.Peers.UID(conn); err == nil {
			return "user " + strconv.FormatUint(uint64(uid), 10)
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
