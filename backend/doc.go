// Package backend defines the durable records of Senpuki, the verbs on them and
// the invariants that every database keeps.
//
// There are few types. An [Execution] is one workflow under way, known by its
// public id. A [Program] is the immutable source it is pinned to. A run is one
// life of an execution under a store-internal integer key ([RunKey]); the
// execution row points at its latest run. A [Row] is one journal row: the
// entries of one turn, bytes that only the engine understands. A [Message] is
// what reaches an execution from outside (its inbox). A [Session] is a live
// worker process. A [Batch] is what one transaction writes: new executions,
// turns and messages; [Store.Commit] is the only verb that changes executions,
// so that one group committer can put whatever waits into one transaction.
//
// # Invariants
//
// [Store] implementations keep these, backendtest checks them, and other
// packages cite them by number.
//
//  1. The journal of a run is dense (rows 0, 1, 2, ...), append-only, and each
//     row names the session that wrote it.
//
//  2. A batch lands whole or not at all. It lands only while its session's row
//     exists and the session owns every execution that its turns write.
//
//  3. Ownership leaves an execution only by a turn of its owner ([Turn.Then] is
//     Release or Finish) or because the owner's session was revoked.
//
//  4. A terminal execution never changes its state, result or failure, has no owner, is never
//     due and has an empty inbox, but for signals when it has not completed.
//
//  5. An execution that has not ended, without an owner and with messages in its inbox, is due.
//
//  6. Release leaves an execution owned when its inbox is not empty. Finish
//     rejects what is left in the inbox, but for signals unless it completes: a
//     run that goes on after it (Rerun) finds them there.
//
//  7. A message is in the inbox until the turn that takes it lands, and never
//     again afterwards. Messages of one execution are received in the order in
//     which they were stored.
//
//  8. A session id is never reused; revoking deletes the row first and frees
//     what it owned afterwards, in chunks.
//
//  9. Every execution's program exists.
//
//  10. A log line's (run, ordinal) is unique; log lines land with their turn.
//
//  11. Whoever waits for the end of an execution, its parent or one that
//     watches it, gets its Outcome in the transaction that ends it, once.
//
//  12. What a turn asks of other executions (children, orders, watches) lands
//     with it; what the store finds out about it is a Notice in the turn's own
//     execution, and never keeps the turn from landing.
//
//  13. A task belongs to the run of an execution that has not ended. It becomes an Outcome
//     once: when its owner settles it or is revoked, when nobody began it in time, or when it is withdrawn
//     and nobody runs it. One that runs when it is withdrawn is its owner's to end.
//
//  14. A memo is computed by one step at a time. When that step's run is over
//     the reservation is free, and the first who waits for it has it.
//
// # Runs
//
// Continue ends a run and begins the next in one transaction: the execution
// keeps its id, its input, its inbox and its owner, gets the new program and run,
// and the journal of the old run is dropped, so that an endless loop stays
// small. Its log lines stay. A message for a run that is over is of no
// consequence; the engine takes it and goes on.
//
// # Damage
//
// What a store cannot decode of a record is a note in the record ([Execution].Damage) and never an error of the
// verb: one damaged row must not keep others from being claimed or listed. So no statement lets the database parse a column
// of many rows without a guard. What the store does not look into, the engine finds damaged.
//
// # The instant of release
//
// A sender locks the execution's row, inserts its message and makes the
// execution due when it has no owner. Release locks the row and then, in a
// later statement, looks at the inbox. Reading the inbox in the statement that
// updates the row would, under READ COMMITTED, look at a snapshot taken before
// the lock was granted and lose the message.
//
// # Rejected
//
// A row per step with a status column: two writes a step and a random key on
// the hot table. A lease per execution: a heartbeat per execution. A method per
// transition: the group committer could not merge them.
package backend
