// Dispatch: handing an execution to the workers, or to this one.

package engine

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// Input is what an execution's function is called with. The zero value calls it without arguments.
type Input struct {
	Args   []any          // positional
	Kwargs map[string]any // by name; only one of the two may be given
	raw    []byte
}

// JSON is input as JSON text: an object holds keyword arguments, an array
// positional ones, anything else is the one argument.
func JSON(raw []byte) Input { return Input{raw: raw} }

// bytes is the input's JSON text.
func (in Input) bytes() ([]byte, error) {
	b, err := in.text()
	return starlark.Legible(b), err
}

func (in Input) text() ([]byte, error) {
	switch {
	case in.raw != nil:
		if !json.Valid(in.raw) {
			return nil, errors.New("input is not JSON")
		}
		var b bytes.Buffer
		err := json.Compact(&b, bytes.ToValidUTF8(in.raw, []byte("\uFFFD")))
		return b.Bytes(), err
	case in.Args != nil && in.Kwargs != nil:
		return nil, errors.New("input has both positional and keyword arguments; give one of them")
	case in.Args != nil:
		return json.Marshal(in.Args)
	case in.Kwargs != nil:
		return json.Marshal(in.Kwargs)
	}
	return []byte("[]"), nil
}

// DispatchOptions say how an execution is to run. The zero value is useful.
type DispatchOptions struct {
	ID       string // public id; default: a new random one
	Digest   string // run this stored program, not the newest deployed of the workflow
	Function string // default "main"
	Queue    string // default "default"
	Priority int    // higher is claimed first
	Tags     []string
	Delay    time.Duration // not before this long from now
	Expiry   time.Duration // end it this long after it could first run; 0: never
	// Retry tries a failed execution again as a whole: each attempt is a new run, from the script's
	// first line. Nil: it is not.
	Retry *activities.RetryPolicy
	Here  bool // run it in this process, whatever its queue and tags
}

// newID makes an id that sorts by time and cannot be guessed: 6 bytes of
// milliseconds and 8 random ones, in hex.
func newID() string {
	var b [14]byte
	ms := time.Now().UnixMilli()
	for i := range 6 {
		b[i] = byte(ms >> (8 * (5 - i)))
	}
	_, _ = rand.Read(b[6:]) // never fails
	return hex.EncodeToString(b[:])
}

// Dispatch begins an execution and returns its id. When the id exists with the same
// code, function and input it is that execution, and nothing happens; with others it is a *ConflictError.
func (e *Engine) Dispatch(ctx context.Context, workflow string, in Input, o DispatchOptions) (string, error) {
	n, err := e.newExecution(ctx, workflow, in, o)
	if err != nil {
		return "", err
	}
	w := e.current()
	if w == nil || n.Queue != "default" && !contains(w.options.Queues, n.Queue) && !o.Here {
		return n.ID, e.create(ctx, nil, n, o.Here)
	}
	return n.ID, e.create(ctx, w, n, o.Here)
}

// create writes a new execution, through the worker's committer when there is one that has a session.
func (e *Engine) create(ctx context.Context, w *worker, n *backend.NewExecution, here bool) (err error) {
	defer e.dispatched(ctx, n, time.Now(), &err)
	var made backend.Created
	known := here && e.isAdopted(n.ID) // already: it keeps that
	if w != nil {
		made, err = w.create(ctx, n, here)
	}
	if w == nil || errors.Is(err, backend.ErrFenced) { // a dispatch needs no session; one that has landed is found
		made, err = e.createAlone(ctx, *n, here)
	}
	if err != nil {
		return storedError(err, n)
	}
	err = conflict(n, made.Existing)
	if err != nil && here && !known || made.Existing != nil && made.Existing.State.Terminal() {
		e.disown(n.ID) // there is nothing to run here
	}
	return err
}

// createAlone writes a new execution without a worker.
func (e *Engine) createAlone(ctx context.Context, n backend.NewExecution, here bool) (backend.Created, error) {
	n.Claim = false
	made, err := e.makes.do(ctx, n)
	if err == nil {
		err = made.err
	}
	if err != nil {
		return backend.Created{}, err
	}
	if here {
		e.adopt(n.ID)
	}
	e.tellNow(ctx, backend.Hint{Queues: []string{n.Queue}, Due: n.Due})
	return made.created, nil
}

// create writes a new execution, which may begin here at once.
func (w *worker) create(ctx context.Context, n *backend.NewExecution, here bool) (backend.Created, error) {
	if err := ctx.Err(); err != nil {
		return backend.Created{}, err
	}
	slot := w.slots.tryTake()
	n.Claim = here && n.Due.IsZero() || slot && w.mayKeep(n)
	if slot && !n.Claim {
		w.slots.give(1)
	}
	if here { // not yet looked for: this write claims it
		w.engine.mark(n.ID)
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var r wrote
	if n.Claim {
		r = w.begin(patient, n, slot)
	} else {
		r = w.committer.submit(patient, &write{create: n})
		w.expect(n.Due)
		w.newWork()
	}
	if fault := w.lastFault(); r.err != nil && errors.Is(r.err, patient.Err()) && ctx.Err() == nil && fault != nil {
		return r.created, fmt.Errorf("execution %s was not acknowledged within %v and may still begin: %w", n.ID, patience, fault)
	}
	return r.created, r.err
}

// mayKeep reports whether a new execution may begin here at once: its queue has
// no backlog that it would overtake, and this worker would claim it.
func (w *worker) mayKeep(n *backend.NewExecution) bool {
	if w.options.Hold || !w.isClear() || !n.Due.IsZero() || !contains(w.options.Queues, n.Queue) {
		return false
	}
	return w.has(n.Tags)
}

// newestFor is how long a look at a workflow's newest deployment serves: what
// another process deploys is taken by new executions within that time.
const newestFor = 250 * time.Millisecond

type newest struct {
	digest string
	found  time.Time
	err    error
}

func (e *Engine) newestDigest(ctx context.Context, workflow string) (string, error) {
	e.mu.Lock()
	known := e.newest[workflow]
	e.mu.Unlock()
	if known.digest != "" && time.Since(known.found) < newestFor {
		return known.digest, nil
	}
	known, err := e.news.do(ctx, workflow)
	return known.digest, cmp.Or(err, known.err)
}

// lookUp finds the newest deployments of workflows, each once.
func (e *Engine) lookUp(ctx context.Context, workflows []string) ([]newest, error) {
	e.mu.Lock()
	deploys := e.deploys
	e.mu.Unlock()
	found, all := make(map[string]newest), make([]newest, len(workflows))
	for i, workflow := range workflows {
		one, ok := found[workflow]
		if !ok {
			one.found = time.Now()
			d, err := e.store.Deployments(ctx, workflow)
			switch {
			case err != nil:
				one.err = err
			case len(d) == 0:
				one.err = fmt.Errorf("workflow %q: %w; deploy it first", workflow, backend.ErrNotFound)
			default:
				one.digest = d[0].Digest
			}
			found[workflow] = one
		}
		all[i] = one
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for workflow, one := range found {
		if one.err == nil && e.deploys == deploys { // else it may be older than what was deployed here meanwhile
			e.newest[workflow] = one
		}
	}
	return all, nil
}

// born is the record of an execution that was created claimed.
func born(n *backend.NewExecution, run backend.RunKey, owner backend.SessionID, at time.Time) backend.Execution {
	return backend.Execution{
		ID: n.ID, Run: run, RunNumber: 1, Workflow: n.Workflow, Digest: n.Digest, Edition: n.Edition,
		Function: n.Function, Input: n.Input, State: backend.Running, Queue: n.Queue, Priority: n.Priority,
		Tags: n.Tags, Parent: n.Parent, ParentStep: n.ParentStep, Owner: owner, Expires: n.Expires,
		Created: at, Started: at, Extra: n.Extra,
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func storedError(err error, n *backend.NewExecution) error {
	if errors.Is(err, backend.ErrNoProgram) {
		return fmt.Errorf("program %.12s is not stored; deploy it first: %w", n.Digest, err)
	}
	return err
}

// newExecution checks what was asked for.
func (e *Engine) newExecution(ctx context.Context, workflow string, in Input, o DispatchOptions) (*backend.NewExecution, error) {
	input, err := in.bytes()
	if err != nil {
		return nil, err
	}
	if len(input) > e.options.MaxValue {
		return nil, fmt.Errorf("input has %d bytes, the limit for one value is %d", len(input), e.options.MaxValue)
	}
	e.weigh("the input of", workflow, len(input))
	if o.Delay < 0 || o.Expiry < 0 {
		return nil, fmt.Errorf("negative delay or expiry (%v, %v)", o.Delay, o.Expiry)
	}
	n := &backend.NewExecution{
		ID: o.ID, Workflow: workflow, Digest: o.Digest, Edition: starlark.Edition, Function: o.Function,
		Input: input, Queue: o.Queue, Priority: o.Priority, Tags: o.Tags,
	}
	if n.ID == "" {
		n.ID = newID()
	}
	if failure := unfit(name{"the id", n.ID, maxName}, name{"the queue's name", n.Queue, maxName}); failure != nil {
		return nil, errors.New(failure.Message)
	}
	if failure := unfitTags(n.Tags); failure != nil {
		return nil, errors.New(failure.Message)
	}
	if n.Function == "" {
		n.Function = "main"
	}
	if n.Queue == "" {
		n.Queue = "default"
	}
	if n.Digest == "" {
		if n.Digest, err = e.newestDigest(ctx, workflow); err != nil {
			return nil, err
		}
	}
	prog, err := e.program(ctx, n.Digest)
	if err != nil {
		return nil, err
	}
	if err := prog.CheckInput(n.Function, input); err != nil {
		return nil, err
	}
	if o.Retry != nil {
		if err := o.Retry.Validate(); err != nil {
			return nil, err
		}
	}
	kept := extra{Retry: o.Retry, Own: o.Digest != ""}
	n.Extra = kept.encode()
	if o.Delay <= 0 && o.Expiry <= 0 {
		return n, nil
	}
	now, err := e.now(ctx)
	if err != nil {
		return nil, err
	}
	if o.Delay > 0 { // whoever sends it a message makes it due
		n.Due = now.Add(o.Delay)
		kept.NotBefore = n.Due.UnixMicro()
		n.Extra = kept.encode()
	}
	if o.Expiry > 0 {
		n.Expires = now.Add(o.Delay).Add(o.Expiry) // their sum may be more than a Duration
	}
	return n, nil
}

// conflict compares an execution that exists with the one asked for.
func conflict(n *backend.NewExecution, x *backend.Execution) error {
	switch {
	case x == nil:
		return nil
	case x.Digest != n.Digest:
		return &ConflictError{ID: n.ID, Field: "code", Have: x.Workflow + " " + short(x.Digest), Want: n.Workflow + " " + short(n.Digest)}
	case x.Function != n.Function:
		return &ConflictError{ID: n.ID, Field: "function", Have: x.Function, Want: n.Function}
	case !sameValue(x.Input, n.Input):
		return &ConflictError{ID: n.ID, Field: "input", Have: cut(x.Input), Want: cut(n.Input)}
	}
	return nil
}

func short(digest string) string { return digest[:min(12, len(digest))] }

func cut(b []byte) string {
	if len(b) > 100 {
		return string(b[:100]) + "..."
	}
	return string(b)
}

// Adopt makes this engine's worker drive an unfinished execution, whatever its
// queue, as soon as nobody else does.
func (e *Engine) Adopt(ctx context.Context, id string) error {
	x, err := e.store.Execution(ctx, id)
	switch {
	case err != nil:
		return err
	case x.State.Terminal():
		return fmt.Errorf("execution %s is %s: %w", id, x.State, backend.ErrClosed)
	}
	if err := replays(&x); err != nil {
		return err
	}
	e.mark(id)
	e.Look() // it may have tasks and messages
	return nil
}

func (e *Engine) adopt(id string) {
	e.mark(id)
	if w := e.current(); w != nil {
		w.hint()
	}
}

// isAdopted reports whether this engine was told to run an execution.
func (e *Engine) isAdopted(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.adopted[id]
	return ok
}

// adoptedIDs lists the executions that this engine was told to run.
func (e *Engine) adoptedIDs() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.adopted))
}

// rests notes that an adopted execution was let go here: it is claimed again when it is due.
func (e *Engine) rests(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.adopted[id]; ok {
		e.adopted[id] = true
	}
}

// adoptWith adopts an execution when another one, its parent, was adopted.
func (e *Engine) adoptWith(parent, id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.adopted[parent]; ok {
		if _, known := e.adopted[id]; !known {
			e.adopted[id] = false
		}
	}
}

// adoptStrays looks for adopted executions that other workers have begun to run, at most every PollInterval while any is not held
// here. Who runs one does not know that its children are to run here, so they are found in the store; and it comes back as soon as it is let go.
func (w *worker) adoptStrays() error {
	offers := w.sharing.offers.Load()
	if offers == nil || len(*offers) == 0 || time.Since(w.strays.looked) < w.options.PollInterval {
		return nil
	}
	now, due := w.engine.wanted()
	ids := slices.Sorted(slices.Values(append(now, due...)))
	switch {
	case len(ids) == 0, len(now) == 0 && time.Since(w.strays.looked) < w.pollInterval(): // what rests here was let go because nobody else would take it
		return nil
	case len(now) > 0:
		w.dues.add(w.clock.now() + w.options.PollInterval.Microseconds())
	}
	w.strays.looked = time.Now()
	from, _ := slices.BinarySearch(ids, w.strays.next)
	if ids, w.strays.next = ids[from:], ""; len(ids) > reconciled {
		ids, w.strays.next = ids[:reconciled], ids[reconciled]
	}
	for x, err := range w.engine.each(w.asks, backend.Filter{IDs: ids, Limit: reconciled}) {
		switch {
		case err != nil:
			return err
		case x.State.Terminal():
			w.engine.disown(x.ID)
		case x.Owner != 0 && x.Owner != w.session:
			w.engine.mark(x.ID)
			live := backend.Filter{Parent: x.ID, States: []backend.State{backend.Pending, backend.Running}, Limit: reconciled}
			for child, err := range w.engine.each(w.asks, live) {
				if err != nil {
					return err
				}
				w.engine.adoptWith(x.ID, child.ID)
			}
		}
	}
	return nil
}

// mark notes that an execution is to be driven here.
func (e *Engine) mark(id string) {
	e.mu.Lock()
	e.adopted[id] = false
	e.mu.Unlock()
}

// disown forgets an adopted execution that has ended.
func (e *Engine) disown(id string) {
	e.mu.Lock()
	delete(e.adopted, id)
	e.mu.Unlock()
}
