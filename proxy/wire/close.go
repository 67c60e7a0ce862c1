package wire

import (
	"context"
	"io"
)

// CloseWhenDone closes c when ctx is done. Reads, writes and Accept then return an error, so
// that code without a context ends. stop works as that of context.AfterFunc.
func CloseWhenDone(ctx context.Context, c io.Closer) (stop func() bool) {
	return context.AfterFunc(ctx, func() { c.Close() })
}
