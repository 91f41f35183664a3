// Package engine is where the leaves meet: it drives scripts (package
// starlark) through durable turns (package backend) and runs the activities
// (package activities) that they ask for.
//
// There are few types. An [Engine] is one process's view of a store: a client always, a worker
// while [Engine.Run] runs. A worker has one session. A held execution is a script
// on its goroutine with a mailbox; it is the script's host. The committer merges the turns of all of them.
//
// # The way of a step
//
//	dispatch -> [execution pending] -> claim (owner = our session)
//	turn:   the script runs until every branch waits; what it asked is gathered as journal entries
//	commit: one row: what was delivered, then what was asked for, and which attempts may begin
//	then    those attempts start; each outcome is posted to the mailbox and is the next turn's delivery
//
// A transaction costs a database much the same whatever is in it. So a few turns wait a moment for the one that is under way, and a claim for
// the slots that become free one by one goes with the turns of others (gather.go).
//
// A worker that is free begins what is dispatched in its process at once. The script runs before
// anything is stored, up to its first wait, and the execution lands with the row
// of that turn, in one commit. Until then nothing begins and nobody is told: when the id turns out to be taken, the script is
// forgotten. One that takes long to its first wait is stored alone (birth.go).
//
// The script itself calls Wait when nothing in it can run, on whatever goroutine
// holds its baton: Wait is the end of a turn. It first takes more from the
// mailbox (several deliveries may share a turn, each running the script to
// rest), then seals the turn, and blocks when nothing is left. So a sequential
// step costs one journal row and three hand-offs: to the committer, which begins the attempt when
// the turn has landed, to the attempt, and back to the script. While a turn is on its way the
// execution belongs to the committer (flight, in turn.go).
//
// # The journal
//
// A row is a JSON array of entries. Those that the script asked for (ask,
// refused, drop) must come again on replay, in order; those delivered to it
// (done, failed, cancel, signal) are handed to it again, in order. Others say how
// attempts stand (begin, held, fail, crash, back, got), and the rest what the run is: where it begins and ends (start, end), when an
// attempt of the execution as a whole begins (try), what was copied (rerun), and a change of code (upgrade). A call that is
// refused (wrong arguments, a name that cannot be stored) is an entry, too, because the
// registry of the process that replays may be another one. An attempt found begun without an
// outcome when the replay ends died with its process: that is a crash, counted
// in the journal before the next attempt. One handed back by a graceful stop says so.
//
// A turn that cannot land leaves the journal where it was. Outcomes that it had
// consumed are kept as got entries, so that nothing runs again for them.
//
// # Other executions
//
// What a script asks of other executions (children, signals, their end, their
// cancelling) lands with its turn, and the answer is an inbox message of its
// own: a commit never waits for what it finds out, and a crash loses no
// answer. A child's attempts are executions, "ID-2" is the second; its time
// limit is its expiry. The wait for a signal is journaled, so that people can
// see it, and has no outcome: the script itself matches signals to waits.
// continue_as_new drops the journal and begins the next with what the script
// takes over. A child's id and an idempotency key name the run in which the step was first asked for.
//
// What an engine was told to run (Here, Adopt) it adopts, and with it the children: it claims them whatever their queue. Such an
// execution is not let go while another worker might take it. When one did all the same, it is taken
// back as soon as that is possible, and until then its children are looked for in the store.
//
// # Tasks
//
// A step whose queue or tags this worker does not serve, whose activity it
// does not know, or whose activity has a limit over all workers becomes a
// task, written with the turn. Any worker may claim it, runs it, and settles it:
// the store turns it into a message. The owner of the execution counts
// attempts, retries and crashes, whoever runs them (suspects.go: steps with few crashes left begin with few such beside them); how an activity that he does not know is registered, the sessions of those who have
// it tell (elsewhere.go), and for who takes over from him the task's entry in the journal. When the call is cancelled its task is withdrawn: nobody begins
// it any more, and who runs it already is told, and ends it as he would end any other; the step waits for that.
//
// A step that shares its result (idempotent, cached) first asks for a
// reservation and begins when it has it; those who come later get the result
// or, when it failed, the reservation.
//
// # Running ahead
//
// Attempts of activities that are declared pure may begin before the row that
// asks for them has landed, and the script may go on with their outcomes; the rows follow,
// one turn on its way at a time, in order. Anything else first waits for them: see ahead.go.
//
// # Ends without the script
//
// An execution is cut, ended without running its script, on demand and
// when its clean-up outlasts CleanupTimeout or its expiry passed before it began. One
// that is stuck is cut when it still is CleanupTimeout after its expiry.
//
// # Reruns and upgrades
//
// Retry and Fork begin a run with the entries of an earlier one up to a cut.
// What was under way there is as if it had been handed back, unless it succeeded since: then its value is
// copied too, and delivered when the run goes on. What failed since has all its attempts again. Attempts of children are counted over
// all runs, for their ids have the number, and those of a fork have its id; one that has succeeded after all, or still runs and was not told to
// end, is waited for instead (beginAgain). Signals that no script was given before the end are in the inbox still. An entry says
// where the copy ends, and of a fork that its random numbers are its own from there on. That may be in the middle of a turn, for a
// script can fail by what it does with an outcome: what follows the last command or delivery of the copy is new, and
// what is under way is taken up when the script next waits. Up to there info has what the earlier run knew.
// Other code is proven in memory to ask for what is copied; it goes on where it parts from the journal, unless
// that forgets a step that was begun since or a failure.
//
// Upgrade replays the journal on other code, in memory, and only when that holds changes the digest, with a turn of its owner.
//
// Export takes a journal out of its store as a document, and Export.Replay proves it in the same way
// on the code of a directory. Package enginetest runs engines in virtual time.
//
// # Lost replies
//
// A connection can break between a commit and its answer. The committer then looks for what the batch
// would have left, one item tells for the whole, and writes nothing before it knows. What takes long and fails is written by halves next:
// a store calls off a transaction that lasts too long, and over a slow line the same batch would last as long each time. A claim, and a new execution
// that is to begin here, may have given the session what the worker was never told of;
// nobody else comes for it while the session lives. So the worker looks for all that its
// session owns, at once and again later, and begins what it does not hold: see doubt.go.
//
// # Damage
//
// An execution whose record, journal or program cannot be read is stuck, with what and where, and goes on when that was
// repaired; it never keeps others from being claimed or listed. Its input is judged only when it fits nothing, so that
// sound ones are read once. [Engine.Examine] reads everything and lists what is damaged.
//
// # Without a worker
//
// A process that only dispatches and waits has no committer. What its goroutines ask of the store at the same time,
// new executions and looks at those that they wait for, is merged in the same way: while one call is
// under way the next gathers (merge.go). A dispatch of a worker whose session is lost goes the same way, for it needs none.
//
// # Slots
//
// An attempt needs a slot, a waiting script none. Attempts beyond the free
// slots wait in memory and begin in later rows. The slot of an ended attempt
// stays with its execution until its next turn is sealed, so a sequential script asks for one only once. Those who
// wait for slots take turns: the executions that have more to begin than slots, and the worker's loop, every other time, for all that
// is in the database and could be claimed. So neither a fan-out nor a backlog keeps out anything else. Without a slot the
// loop claims what has begun only, for a timer, a signal or a cancel needs none.
//
// # Wake-ups
//
// A hint after a commit tells other processes what it means to them (notify.go), and wakes those whom it concerns only. New work is for all who
// serve its queue. A message for an execution that somebody owns is for him, and for all when it has made due what
// nobody owns, which the store says; so is an end that other executions wait for, as their child's or because they watch it. (What
// does not name them is of the release before, and all look.) Programs that wait
// are told of ends while there are any: who waits says so every few seconds, and who begins to listen asks (awaited.go).
// Otherwise one is told now and then, so that a worker whose hints do not get through knows, and polls.
//
// # Seen from outside
//
// Four options let others look on, each free when nobody does: an Observer is told of events, a
// Logger of what an operator should know, Metrics are counted in atomic adds,
// a Tracer is told of spans. HTTP, Prometheus and OpenTelemetry are known to
// those who implement them only (cmd/senpuki/cli/ops): even OpenTelemetry's interface of a trace would bring its modules
// into every program that embeds an engine, and it has no notion of a span that outlives its process.
//
// No record carries a span's context. A run's span has a name that follows from the execution, its run and the execution at the
// top of its family, so every process comes to the same one, and replay and
// takeover need nothing. The rejected ideas: a tag, which people filter by; the input, which they read; a column,
// which every store would carry for the few that trace. A run's span is told by whoever ends the run.
//
// # Goroutines, and who waits for them
//
//	Engine.Run            the caller's; owns the worker
//	worker.loop           Run's own goroutine: claims, inboxes, dead neighbours, sweep
//	worker.heartbeat      worker.wg; ends with worker.ctx
//	worker.watchVersion   likewise, where the store tells of changes
//	worker.retain         likewise, where the worker claims: removes what ended long ago
//	committer.run         likewise; one more than there are transactions in flight
//	execution.drive       worker.wg; ends when the execution ends, is released or lost
//	worker.runTask        worker.wg; ends when the task's outcome is written, or given up
//	branches of a script  starlark.Program.Run waits for them
//	Engine.hearing        who has called listen waits for it when he is done: the worker, or those who wait
//	Engine.sendHints      ends when no hint is left; Run waits for it (flush), as short programs do, unless nobody hears
//	merger.run            ends when nobody waits for what it asks
//	activity bodies       nobody waits for one that ignores its context; it is counted (strays)
//
// Timers post into a mailbox and nothing else. Whoever has the committer store an execution does not wait for it: the
// committer's goroutine does what follows (bear).
//
// Two contexts: Run's ends the taking of work, worker.ctx ends work itself, as does Kill, on whose context it depends.
package engine
