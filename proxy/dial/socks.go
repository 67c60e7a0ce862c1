package dial

import (
	"context"
	"errors"
	"net"

	socks "golang.org/x/net/proxy"
)

func (o *outbound) socks(c net.Conn, address string) (net.Conn, error) {
	var auth *socks.Auth
	if o.user != nil {
		password, _ := o.user.Password()
		auth = &socks.Auth{User: o.user.Username(), Password: password}
	}
	d, err := socks.SOCKS5("tcp", o.address, auth, nil)
	if err != nil {
		return nil, err
	}
	over, ok := d.(interface {
		DialWithConn(ctx context.Context, c net.Conn, network, address string) (net.Addr, error)
	})
	if !ok {
		return nil, errors.New("golang.org/x/net/proxy has no DialWithConn")
	}
	_, err = over.DialWithConn(context.Background(), c, "tcp", address)
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err // dial adds the rest
	}
	if err != nil {
		return nil, &proxyError{err: err, hint: hintSOCKS}
	}
	return c, nil
}
