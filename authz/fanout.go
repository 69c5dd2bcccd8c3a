package authz

import (
	"context"
	"errors"
	"iter"
	"sync"
)

// This file is the only one that starts goroutines: one that ranges over the
// source, n that work, and one that makes what they did last. The caller's
// goroutine hands the results on.
//
//	source --> queue ------------------------> yield   in the order of the source
//	      \--> work --> n x do --> keep --> job.done
//
//   - Every item taken from the source is in queue before it is in work, so
//     queue's order is the order of results.
//   - A job's done holds one outcome at most and never blocks who fills it.
//   - keep is called for all that is finished by then, so that workers do not
//     wait for a disk. Without it, workers fill job.done themselves.
//   - queue bounds how far the workers may get ahead of the consumer.
//   - When the context ends, workers are waited for and what they finished is
//     still yielded: a change that was made is never kept from the caller.

// An outcome is what do made of one item: a result, or an error that ends the
// whole sequence.
type outcome[R any] struct {
	result R
	fatal  error
}

type job[T, R any] struct {
	item T
	done chan outcome[R]
}

// minAhead is how many results may wait for a slow one before them. A smaller
// queue would let one authorization that is retried hold up all workers.
const minAhead = 1024

// errBreak is the cause of the context's end when the consumer broke off.
var errBreak = errors.New("authz: loop ended")

// A fatalError is the cause of the context's end when do failed for good.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// fanOut applies do to each item of source, n at a time, and yields the
// results in the source's order, each after a call of keep that began after
// do had returned, unless keep is nil. The first error of source, of do, of
// keep or of ctx ends the sequence after the results before it.
func fanOut[T, R any](ctx context.Context, n int, source iter.Seq2[T, error], do func(context.Context, T) (R, error), keep func() error) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		inner, cancel := context.WithCancelCause(ctx)
		f := &fan[T, R]{
			caller: ctx, ctx: inner, cancel: cancel, do: do, keep: keep, finished: make(chan finished[T, R], n),
			queue: make(chan *job[T, R], max(4*n, minAhead)), work: make(chan *job[T, R]),
			sourceDone: make(chan struct{}),
		}
		go f.feed(source)
		for range n {
			f.workers.Go(f.run)
		}
		f.all.Go(func() {
			f.workers.Wait()
			close(f.finished)
		})
		f.all.Go(f.deliver)
		defer f.stop()
		f.consume(yield)
	}
}

// A fan is one range over fanOut's sequence.
type fan[T, R any] struct {
	caller      context.Context // ended by the caller alone
	ctx         context.Context // ends with caller, a fatal error or a break
	cancel      context.CancelCauseFunc
	do          func(context.Context, T) (R, error)
	keep        func() error
	queue, work chan *job[T, R]
	finished    chan finished[T, R]
	workers     sync.WaitGroup
	all         sync.WaitGroup // the workers, and who delivers
	sourceDone  chan struct{}
	sourceErr   error // written before queue is closed
}

// feed puts the source's items into queue and work until either ends.
func (f *fan[T, R]) feed(source iter.Seq2[T, error]) {
	defer close(f.sourceDone)
	defer close(f.work)
	defer close(f.queue)
	for item, err := range source {
		if err != nil {
			f.sourceErr = err
			return
		}
		j := &job[T, R]{item: item, done: make(chan outcome[R], 1)}
		if !send(f.ctx, f.queue, j) || !send(f.ctx, f.work, j) {
			return
		}
	}
}

func send[T any](ctx context.Context, to chan<- T, v T) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case to <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

// run works until there is no more work or the context ends. It looks at the
// context before each job because a select alone would take either.
func (f *fan[T, R]) run() {
	for f.ctx.Err() == nil {
		select {
		case j, ok := <-f.work:
			if !ok {
				return
			}
			r, err := f.do(f.ctx, j.item)
			if err != nil {
				f.cancel(fatalError{err})
			}
			o := outcome[R]{r, err}
			if f.keep == nil {
				j.done <- o
			} else {
				f.finished <- finished[T, R]{j, o}
			}
		case <-f.ctx.Done():
		}
	}
}

// A finished job waits to be kept.
type finished[T, R any] struct {
	job     *job[T, R]
	outcome outcome[R]
}

// deliver keeps and hands on what is finished, as much as there is at a time.
func (f *fan[T, R]) deliver() {
	var batch []finished[T, R]
	for first := range f.finished {
		batch = append(batch[:0], first)
		for n := len(f.finished); n > 0; n-- {
			batch = append(batch, <-f.finished)
		}
		if err := f.keep(); err != nil {
			f.cancel(fatalError{err})
		}
		for _, done := range batch {
			done.job.done <- done.outcome
		}
	}
}

// consume yields the outcomes in order, and the error that ended the work.
func (f *fan[T, R]) consume(yield func(R, error) bool) {
	var none R
	for {
		j, ok := f.next()
		if !ok {
			break
		}
		o, ok := f.outcome(j)
		if !ok || o.fatal != nil {
			continue
		}
		if !yield(o.result, nil) {
			f.cancel(errBreak)
			return
		}
	}
	if err := f.err(); err != nil {
		yield(none, err)
	}
}

// err is what ended the work before or with the source, if anything. The
// caller's context counts by its plain error, not by its cause.
func (f *fan[T, R]) err() error {
	if f.ctx.Err() == nil {
		return f.sourceErr
	}
	if fatal, ok := errors.AsType[fatalError](context.Cause(f.ctx)); ok {
		return fatal.error
	}
	return f.caller.Err()
}

// next is the next job in order. Once the context has ended, only those that
// are queued already are left; a source that blocks is not waited for.
func (f *fan[T, R]) next() (*job[T, R], bool) {
	select {
	case j, ok := <-f.queue:
		return j, ok
	case <-f.ctx.Done():
	}
	f.all.Wait()
	select {
	case j, ok := <-f.queue:
		return j, ok
	default:
		return nil, false
	}
}

// outcome waits for j's outcome. There is none if the context ended before a
// worker took j up.
func (f *fan[T, R]) outcome(j *job[T, R]) (o outcome[R], ok bool) {
	select {
	case o = <-j.done:
		return o, true
	case <-f.ctx.Done():
	}
	f.all.Wait()
	select {
	case o = <-j.done:
		return o, true
	default:
		return o, false
	}
}

// stop ends what is still running. After a plain end or a break it waits for
// the source, too, which the caller may want to use again. After an error it
// does not: the source may be stuck in a read, and the error should not.
func (f *fan[T, R]) stop() {
	f.cancel(errBreak) // only counts if nothing else ended the context
	f.all.Wait()
	if errors.Is(context.Cause(f.ctx), errBreak) {
		<-f.sourceDone
	}
}
