package controlplane

import (
	"context"
	"fmt"
	"time"
)

// pollInterval is short because each wait stands between the user and a ready control plane.
const pollInterval = 20 * time.Millisecond

// poll asks again until check succeeds. Where the context ends first, the error names what was awaited and the last answer.
func poll(ctx context.Context, awaited string, check func() error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; last answer: %v", awaited, context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}
