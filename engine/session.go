// Sessions: who this process is, and which neighbours are dead.

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// self describes this process as far as the system tells.
func self() backend.Session {
	host, _ := os.Hostname()
	s := backend.Session{Host: host, PID: os.Getpid()}
	if boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		s.Boot = strings.TrimSpace(string(boot))
	}
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil {
		s.PIDNS = ns
	}
	s.Started, _ = processStarted(s.PID)
	return s
}

// processStarted is the start time of a process in the kernel's count: field 22
// of /proc/PID/stat (proc(5)). An error that is os.ErrNotExist says that there is no such process.
func processStarted(pid int) (string, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	// The command name, field 2, may hold blanks and parentheses.
	rest := string(stat[strings.LastIndexByte(string(stat), ')')+1:])
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return "", fmt.Errorf("process %d: short stat", pid)
	}
	if fields[0] == "Z" || fields[0] == "X" { // killed, not yet reaped
		return "", os.ErrNotExist
	}
	return fields[19], nil
}

// gone reports whether s was a process of this machine that is no more.
func gone(s, me backend.Session) bool {
	if s.Boot == "" || s.Boot != me.Boot || s.PIDNS == "" || s.PIDNS != me.PIDNS || s.Started == "" {
		return false
	}
	started, err := processStarted(s.PID)
	if err != nil {
		return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH)
	}
	return started != s.Started
}

// SessionInfo is what a session tells of itself: the JSON of backend.Session.Info.
type SessionInfo struct {
	Queues      []string                      `json:"queues"`
	Tags        []string                      `json:"tags,omitempty"`
	Activities  []string                      `json:"activities"`
	Options     map[string]activities.Options `json:"options,omitempty"` // of those that are registered with any, or with parameters
	Edition     int                           `json:"edition"`           // of the language
	Concurrency int                           `json:"concurrency"`
	Held        int                           `json:"held"`                   // executions in memory
	Executions  []string                      `json:"executions,omitempty"`   // some of them
	Running     int64                         `json:"running"`                // activity bodies
	Now         []RunningBody                 `json:"now,omitempty"`          // the oldest of them
	Stuck       int64                         `json:"stuck_bodies,omitempty"` // bodies that ignore that they were given up
	Hold        bool                          `json:"hold,omitempty"`         // it drives only what it was told to
}

// Worker is a session and what it tells of itself.
type Worker struct {
	Session backend.Session
	Info    SessionInfo
}

// Workers are the sessions of the database: those that live, and those that have died and that nobody has missed yet. The Info of
// one that tells what this release cannot read is empty.
func (e *Engine) Workers(ctx context.Context) ([]Worker, error) {
	sessions, err := e.store.Sessions(ctx)
	return workersOf(sessions), err
}

func workersOf(sessions []backend.Session) (list []Worker) {
	for _, s := range sessions {
		w := Worker{Session: s}
		if json.Unmarshal(s.Info, &w.Info) != nil {
			w.Info = SessionInfo{}
		}
		list = append(list, w)
	}
	return list
}

// Summary is how busy the session is, in a few words.
func (i SessionInfo) Summary() string {
	text := fmt.Sprintf("%d of %s, %s", i.Running, counted(i.Concurrency, "activity", "activities"), counted(i.Held, "execution", "executions"))
	if i.Stuck > 0 {
		text += fmt.Sprintf(", %d stuck", i.Stuck)
	}
	return text
}

// counted is "1 execution" or "2 executions".
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// Activity is what runs now, by activity: "charge 3, fetch 12".
func (i SessionInfo) Activity() string {
	count := make(map[string]int)
	for _, b := range i.Now {
		count[b.Activity]++
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		words = append(words, fmt.Sprintf("%s %d", name, count[name]))
	}
	if more := i.Running - int64(len(i.Now)); more > 0 {
		words = append(words, fmt.Sprintf("%d more", more))
	}
	return strings.Join(words, ", ")
}

// maxNamed is how many executions and activity bodies a session names.
const maxNamed = 20

func (w *worker) info() []byte {
	w.mu.Lock()
	held := len(w.held)
	var some []string
	for id := range w.held {
		if some = append(some, id); len(some) == maxNamed {
			break
		}
	}
	w.mu.Unlock()
	slices.Sort(some)
	i := w.engine.introduction()
	i.Held, i.Executions = held, some
	i.Running, i.Stuck, i.Now = w.bodies.look(maxNamed)
	b, _ := json.Marshal(i) // plain fields: never fails
	return b
}

// offer is what a worker of this engine can do.
func (e *Engine) offer() SessionInfo {
	return SessionInfo{
		Queues: e.options.Queues, Tags: e.options.Tags, Activities: e.registry.Names(), Edition: starlark.Edition,
		Concurrency: e.options.MaxConcurrency, Hold: e.options.Hold,
	}
}

// introduction is offer with how the activities are registered.
func (e *Engine) introduction() SessionInfo {
	o := e.offer()
	o.Options = registrations(e.registry)
	return o
}

// againAfter is how soon a heartbeat that failed is followed by the next.
const againAfter = 500 * time.Millisecond

// heartbeat keeps the session alive until it is lost or the worker ends.
func (w *worker) heartbeat() {
	every, failed := w.options.SessionLife/3, false
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-w.recalls:
			w.watchTasks()
			continue
		case <-w.ctx.Done():
			return
		}
		before := time.Now()
		found, err := w.beat()
		w.roll.Store(&roll{sessions: found.Sessions, asked: before, told: time.Now()})
		w.beats.Add(1)
		w.options.Metrics.beat(err)
		switch {
		case err == nil:
			w.clock.set(found.At, before)
			w.acknowledged(before)
			if found.Expired {
				w.expired.Store(true)
				w.hint()
			}
			if failed {
				failed = false
				tick.Reset(every)
			}
			w.compare()
			w.answers()
			w.watchTasks()
		case errors.Is(err, backend.ErrFenced):
			w.lose()
			return
		default:
			if !failed {
				failed = true
				tick.Reset(min(every, againAfter))
			}
			w.fault(err)
		}
		select {
		case w.pulse <- struct{}{}:
		default:
		}
	}
}

// acknowledged notes that the database has just acknowledged what was sent at a point in time: a heartbeat, or the session itself.
func (w *worker) acknowledged(sent time.Time) {
	now := time.Now()
	w.beaten.Store(&sent)
	w.heard.Store(&now)
}

// beat sends one heartbeat. Once it has taken as long as a session lives nothing is to be had of its answer any more.
func (w *worker) beat() (backend.Beaten, error) {
	ctx, cancel := context.WithTimeout(w.ctx, w.options.SessionLife)
	defer cancel()
	found, err := w.store.Beat(ctx, w.session, w.info())
	if err != nil && ctx.Err() != nil && w.ctx.Err() == nil {
		err = fmt.Errorf("%w: a heartbeat has had no answer for %v", backend.ErrTransient, w.options.SessionLife)
	}
	return found, err
}

// maxSkew is how far this machine's clock may be from the database's before somebody is told.
const maxSkew = 5 * time.Second

// compare warns of a clock that is far from the database's, once. Nothing here depends on it, but logs and what activities
// write bear its time.
func (w *worker) compare() {
	skew := time.Now().Round(0).Sub(fromMicro(w.clock.now())).Round(time.Second)
	if far := skew.Abs() > maxSkew; far && !w.skewed {
		w.log.Warn("the clock of this machine is far from the database's; timers follow the database", "ahead", skew)
		w.skewed = true
	} else if !far {
		w.skewed = false
	}
}

// watched is what this worker knows of another session.
type watched struct {
	beat  int64
	since time.Time // when the counter was last seen to change, on our own clock
}

// roll is which sessions there were between two points in time.
type roll struct {
	sessions    []backend.Session
	asked, told time.Time
}

// call returns the roll of the last beat, once, or asks for another: of an idle worker a beat is all that the database hears.
func (w *worker) call(ctx context.Context) (*roll, error) {
	if r := w.roll.Swap(nil); r != nil && r.sessions != nil {
		return r, nil
	}
	r := &roll{asked: time.Now()}
	var err error
	r.sessions, err = w.store.Sessions(ctx)
	r.told = time.Now()
	return r, err
}

// neighbours revokes sessions whose process is dead, or whose counter has stood
// still for a session's life while we could write all along: a database that takes no
// writes silences everybody. It returns whether work may have become free. The first time that is all; after
// that it looks for what others have left half-way, too.
func (w *worker) neighbours(ctx context.Context, first bool) (freed bool, err error) {
	roll, err := w.call(ctx)
	if err != nil {
		w.watched = nil // our access was interrupted: nobody is revoked for that
		return false, err
	}
	w.meet(roll.sessions)
	now := time.Now()
	failed := w.failing.Swap(false)
	if failed || now.Sub(*w.beaten.Load()) > w.options.SessionLife*2/3 || now.Sub(w.lastLook) > w.options.SessionLife/2 { // the last: we slept ourselves
		w.watched = nil
	}
	w.lastLook = now
	seen := make(map[backend.SessionID]watched, len(roll.sessions))
	for _, s := range roll.sessions {
		if s.ID == w.session {
			continue
		}
		old, known := w.watched[s.ID]
		switch {
		case gone(s, w.me):
			if err := w.revoke(ctx, s.ID); err != nil {
				return true, err
			}
			w.log.Info("a worker of this machine has died; its executions are taken over", "session", s.ID, "pid", s.PID)
			continue
		case !known || old.beat != s.Beat:
			old = watched{beat: s.Beat, since: roll.told}
		case roll.asked.Sub(old.since) > w.options.SessionLife:
			if err := w.revoke(ctx, s.ID); err != nil {
				return true, err
			}
			w.log.Info("a worker is silent; its executions are taken over", "session", s.ID, "host", s.Host)
			continue
		}
		seen[s.ID] = old
	}
	for id := range w.watched {
		if _, stands := seen[id]; !stands { // whoever ended it may have died half-way
			w.reclaimed = time.Time{}
		}
	}
	w.watched = seen
	if first || now.Sub(w.reclaimed) < reclaimEvery {
		return false, nil
	}
	if err := w.store.Revoke(ctx, 0); err != nil {
		return true, err
	}
	w.reclaimed = now
	return true, nil
}

// reclaimEvery is how often a worker looks for work of sessions that are gone when it knows of none.
const reclaimEvery = time.Minute

// revoke ends another session; what is left when it fails half-way is reclaimed at the next look.
func (w *worker) revoke(ctx context.Context, id backend.SessionID) error {
	w.reclaimed = time.Time{}
	err := w.store.Revoke(ctx, id)
	if err == nil {
		w.engine.tell(anybodys)
	}
	return err
}
