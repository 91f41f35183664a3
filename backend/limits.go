// Limits over all workers, within one claim.

package backend

import "time"

// Limits says how many tasks may still begin under the limits that were asked for, in one transaction: a store
// counts what runs and what has begun once for each, and not for every task again. Its zero value is empty.
type Limits struct {
	running map[string]int // by activity
	left    map[rate]int
}

type rate struct {
	activity string
	n        int
	per      time.Duration
}

func rateOf(k *Task) rate { return rate{k.Activity, k.Limit.Rate, k.Limit.Per} }

// Running is how many tasks of a task's activity run that have limits, by count when it was not asked before.
func (l *Limits) Running(k *Task, count func() (int64, error)) (int, error) {
	return once(&l.running, k.Activity, count)
}

// Left is how many tasks may begin under the rate of a task, by what count says has begun when it was not asked before.
func (l *Limits) Left(k *Task, count func() (int64, error)) (int, error) {
	return once(&l.left, rateOf(k), func() (int64, error) {
		begun, err := count()
		return int64(k.Limit.Rate) - begun, err
	})
}

// once is what a map has for a key, or else what count says.
func once[K comparable](m *map[K]int, key K, count func() (int64, error)) (int, error) {
	if n, ok := (*m)[key]; ok {
		return n, nil
	}
	n, err := count()
	if err != nil {
		return 0, err
	}
	if *m == nil {
		*m = make(map[K]int)
	}
	(*m)[key] = int(n)
	return int(n), nil
}

// Begin counts a task that has limits for all limits of its activity, and for the rates among them when it has one itself.
func (l *Limits) Begin(k *Task) {
	if _, ok := l.running[k.Activity]; ok {
		l.running[k.Activity]++
	}
	for key := range l.left {
		if k.Limit.Rate > 0 && key.activity == k.Activity {
			l.left[key]--
		}
	}
}
