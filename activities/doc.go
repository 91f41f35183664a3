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
// [Registry.RegisterOpen] takes a function of any arguments, which checks them itself. [Registry.Wrap]
// puts one function around every attempt: doubles in tests, or a trace.
//
// An activity's code runs at least once per step. [AttemptInfo.IdempotencyKey] is the
// same for every attempt of a step; give it to whoever must not do a thing twice.
//
// # Arguments
//
// A call has positional arguments, one per parameter after the context (any
// number for a variadic one), and keyword arguments: names that Options.Params
// declares, or the fields of a struct that is the last parameter. Such a field must be given
// unless it is a pointer or tagged omitempty or omitzero. Pointers that are the last
// parameters may be left out.
//
// Values are decoded as encoding/json does, with these differences, each in
// place of a guess: None fits only pointers, slices, maps, any and raw JSON; a
// float is no integer; a number in an any is an int64 when it is an integer
// that fits, a [encoding/json.Number] when it is a larger one, else a float64;
// a [time.Duration] is text such as "1h 30m" or a number of seconds.
//
// # Results
//
// Results are what json.Marshal makes of them (of a struct's address), without the escaping for HTML;
// what it refuses is a failure of kind PayloadError. It writes a whole float64 without a point, so that scripts get an int, and one
// beyond 2^53 with other digits than it has: return text where that matters. A time.Duration is
// refused when registered: it would leave as nanoseconds.
//
// # Failures
//
// An error made by [Fail] has the kind, data and retryability that it says; an
// error with a method Kind() string keeps that kind; any other is an
// ActivityError. [RetryPolicy.Next] decides by kind and count whether an
// attempt is repeated, and when.
package activities
