package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Why a message was not taken, in a [PublishError].
var (
	// ErrFull: the stream, or this host's share of it, is full. There is room again when hubs have read; try later.
	ErrFull = errors.New("there is no room for it now")

	// ErrUnavailable: nobody answered, or there is no stream. It may have been stored nevertheless: send the same message
	// with the same ID again.
	ErrUnavailable = errors.New("the server does not answer")

	// ErrTooLarge: the message is larger than the stream or the server takes, and always will be.
	ErrTooLarge = errors.New("it is too large")

	// ErrPermission: we may not publish there.
	ErrPermission = errors.New("no permission to publish it")

	// ErrRefused: the server does not want the message, for a reason that stays.
	ErrRefused = errors.New("the server refuses it")
)

// A PublishError says that a message was not acknowledged, and why. It unwraps to one of ErrFull, ErrUnavailable,
// ErrTooLarge, ErrPermission and ErrRefused, and to what the server or the network said.
type PublishError struct {
	Subject string
	Reason  error // one of the five
	Err     error
}

func (e *PublishError) Error() string {
	if errors.Is(e.Err, e.Reason) {
		return fmt.Sprintf("a message to %s: %v", e.Subject, e.Err)
	}
	return fmt.Sprintf("a message to %s: %v: %v", e.Subject, e.Reason, e.Err)
}

// Unwrap returns both the reason and the error.
func (e *PublishError) Unwrap() []error { return []error{e.Reason, e.Err} }

// Permanent reports whether the same message will be refused whenever it is sent again, unless somebody changes the
// server's settings.
func (e *PublishError) Permanent() bool { return e.Reason == ErrTooLarge || e.Reason == ErrRefused }

// Forbidden reports whether it is the sender who is refused, and not the message: with another name, key or permission it
// would be taken.
func (e *PublishError) Forbidden() bool { return e.Reason == ErrPermission }

// publishTimeout bounds the wait for one acknowledgement.
const publishTimeout = 10 * time.Second

// A Publisher publishes messages to streams. It is safe for concurrent use.
type Publisher struct {
	connection *Connection
	stream     jetstream.JetStream
}

// Publisher makes one of the connection, which must stay open as long as it is used.
func (c *Connection) Publisher() (*Publisher, error) {
	stream, err := c.JetStream()
	return &Publisher{c, stream}, err
}

// Publish publishes data and waits until a stream has acknowledged it, for at most ten seconds and until ctx is done. If
// messageID is not empty, the server drops a second message with the same one within the stream's window, and says that
// it has it. The error is a *PublishError, or the cause of ctx's end.
func (p *Publisher) Publish(ctx context.Context, subject, messageID string, data []byte) error {
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	ctx, done := p.connection.watch(ctx, subject)
	defer done()
	var options []jetstream.PublishOpt
	if messageID != "" {
		options = append(options, jetstream.WithMsgID(messageID))
	}
	_, err := p.stream.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: data}, options...)
	if err == nil {
		return nil
	}
	if outer.Err() != nil {
		return context.Cause(outer)
	}
	if errors.Is(err, nats.ErrReconnectBufExceeded) { // nothing is kept to be sent later, which is not what it says
		err = fmt.Errorf("no connection to %s", Redacted(p.connection.Servers()...))
	}
	if cause := context.Cause(ctx); errors.Is(cause, ErrPermission) {
		err = cause
	}
	return &PublishError{Subject: subject, Reason: reason(err), Err: err}
}

// Codes of nats-server (server/errors.json) that jetstream has no names for.
const (
	codeAccountFull     = 10002 // JSAccountResourcesExceededErr
	codeServerFull      = 10023 // JSInsufficientResourcesErr
	codeStoreFailed     = 10077 // JSStreamStoreFailedF: a limit with "discard new" is reached, or the disk fails
	codeSealed          = 10109 // JSStreamSealedErr
	codeMemoryFull      = 10028 // JSMemoryResourcesExceededErr
	codeStorageFull     = 10047 // JSStorageResourcesExceededErr
	codeNotLeader       = 10009 // JSClusterNotLeaderErr
	codeClusterNotThere = 10008 // JSClusterNotAvailErr
)

// reason tells why.
func reason(err error) error {
	switch {
	case errors.Is(err, ErrPermission):
		return ErrPermission
	case errors.Is(err, nats.ErrMaxPayload):
		return ErrTooLarge
	case errors.Is(err, nats.ErrBadSubject):
		return ErrRefused
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return ErrUnavailable
	}
	switch api.ErrorCode {
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return ErrTooLarge
	case codeAccountFull, codeServerFull, codeStoreFailed, codeMemoryFull, codeStorageFull:
		return ErrFull
	case codeNotLeader, codeClusterNotThere, jetstream.JSErrCodeJetStreamNotEnabled, jetstream.JSErrCodeJetStreamNotEnabledForAccount:
		return ErrUnavailable
	case codeSealed:
		return ErrRefused
	}
	if api.Code >= 500 {
		return ErrUnavailable
	}
	return ErrRefused
}
