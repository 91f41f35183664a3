// Profiles of workloads: where the time goes, what is allocated, who waits for whom.

package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
)

// mutexFraction is how many contentions of mutexes there are for each that is recorded.
const mutexFraction = 10

// Profile begins to profile this process; end writes NAME.cpu.pprof, NAME.allocs.pprof
// and NAME.mutex.pprof into a directory. What is not the workload's own, its set-up say, is in them too.
func Profile(dir, name string) (end func() error, err error) {
	path := func(kind string) string { return filepath.Join(dir, name+"."+kind+".pprof") }
	processor, err := os.Create(path("cpu"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(processor); err != nil {
		return nil, errors.Join(err, processor.Close())
	}
	before := runtime.SetMutexProfileFraction(mutexFraction)
	return func() error {
		pprof.StopCPUProfile()
		runtime.SetMutexProfileFraction(before)
		errs := []error{processor.Close()}
		for _, kind := range []string{"allocs", "mutex"} {
			errs = append(errs, write(path(kind), kind))
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("profile of %s: %w", name, err)
		}
		return nil
	}, nil
}

func write(path, kind string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(kind).WriteTo(f, 0), f.Close())
}
