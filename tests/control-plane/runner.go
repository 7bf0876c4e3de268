package controlplane

import (
	"context"
	"fmt"
	"time"

	"k8s.io/klog/v2"
)

// stopTimeout bounds the wait for one part. What it holds is thrown away with the directory, so a part that hangs
// on to a connection costs this much and no more.
const stopTimeout = 3 * time.Second

// runner keeps the parts that run for as long as the command does. It notices the first that ends by itself, and stops
// them in the reverse of the order in which they started, so that none loses what it stands on.
type runner struct {
	// fail ends the command with an error.
	fail  context.CancelCauseFunc
	parts []part
}

type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

// run starts a part. Its context ends only when its turn to stop has come.
func (r *runner) run(name string, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := part{name: name, cancel: cancel, done: make(chan struct{})}
	r.parts = append(r.parts, p)
	go func() {
		defer close(p.done)
		err := f(ctx)
		switch {
		case ctx.Err() != nil && err != nil:
			klog.ErrorS(err, "Ended with an error when told to stop", "part", name)
		case ctx.Err() == nil && err != nil:
			r.fail(fmt.Errorf("%s: %w", name, err))
		case ctx.Err() == nil:
			r.fail(fmt.Errorf("%s ended by itself", name))
		}
	}()
}

func (r *runner) stop() {
	for i := len(r.parts) - 1; i >= 0; i-- {
		p := r.parts[i]
		started := time.Now()
		p.cancel()
		select {
		case <-p.done:
			klog.InfoS("Stopped", "part", p.name, "after", time.Since(started))
		case <-time.After(stopTimeout):
			klog.InfoS("Left behind: it did not stop in time", "part", p.name, "waited", stopTimeout)
		}
	}
}
