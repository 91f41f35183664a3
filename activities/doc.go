// Package activities holds the Go functions that scripts may call, their options, the arithmetic
// of retries and failures as data, and the stock activities.
//
// A [Registry] maps names to [Activity] values. An activity is any
// func([context.Context,] A, B, ...) ([R,] error); its signature is checked
// when it is registered and the arguments of a call before anything is stored.
// [Activity.Invoke] runs one attempt: it decodes the arguments, recovers a
// panic and turns whatever goes wrong into a [Failure]. Inside, [Info] tells
// the attempt's identity and [Heartbeat] reports life.
//
// An activity's code runs at least once per step. [AttemptInfo.IdempotencyKey] is the
// same for every attempt of a step; give it to whoever must not do a thing twice.
package activities
