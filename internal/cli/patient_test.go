package cli

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waterbear-run/waterbear"
)

func TestWhatAKilledProcessStillHasIsWaitedForAMoment(t *testing.T) {
	for _, inTheWay := range []error{fmt.Errorf("listen: %w", syscall.EADDRINUSE), fmt.Errorf("open: %w", waterbear.ErrLocked)} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			free := func() (string, error) {
				if time.Since(began) < lettingGo/2 {
					return "", inTheWay
				}
				return "it", nil
			}
			if got, err := patiently(t.Context(), free); got != "it" || err != nil {
				t.Errorf("%v, and then it is free: got %q, %v", inTheWay, got, err)
			}

			began = time.Now()
			never := func() (string, error) { return "", inTheWay }
			if _, err := patiently(t.Context(), never); !errors.Is(err, inTheWay) || time.Since(began) > 2*lettingGo {
				t.Errorf("it is never free: got %v after %v", err, time.Since(began))
			}

			ctx, cancel := context.WithTimeout(t.Context(), lettingGo/4)
			defer cancel()
			began = time.Now()
			if _, err := patiently(ctx, never); !errors.Is(err, inTheWay) || time.Since(began) > lettingGo/2 {
				t.Errorf("stopped by a signal: got %v after %v", err, time.Since(began))
			}
		})
	}
	tries := 0
	if _, err := patiently(t.Context(), func() (int, error) { tries++; return 0, syscall.EACCES }); !errors.Is(err, syscall.EACCES) || tries != 1 {
		t.Errorf("what does not pass: got %v after %d tries", err, tries)
	}
}
