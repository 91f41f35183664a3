// The built-ins by name.

package starlark

import (
	starmath "go.starlark.net/lib/math"
	star "go.starlark.net/starlark"
)

// predeclared are the names that every file sees beside the language's own.
var predeclared star.StringDict

func init() { // not above: the built-ins know their names, a cycle to the compiler
	predeclared = builtins()
	builtinSignatures = make(map[*star.Builtin]*signature)
	signBuiltins(star.Universe)
	signBuiltins(predeclared)
}

func isPredeclared(name string) bool {
	_, ok := predeclared[name]
	return ok
}

func builtins() star.StringDict {
	d := star.StringDict{
		"parallel": parallel{},
		"json":     jsonModule(),
		"math":     starmath.Module,
		"time":     timeModule(),
		"random":   randomModule(),
		"re":       reModule(),
		"base64":   base64Module(),
		"hashlib":  hashlibModule(),
		"log":      logModule(),
		"state":    stateModule(),
		"info":     infoValue{},
	}
	for name, fn := range map[string]func(*star.Thread, star.Tuple, []star.Tuple) (star.Value, error){
		"activity":     activityBuiltin,
		"retry_policy": retryPolicyBuiltin,
		"attempt":      attemptBuiltin,
		"Ok":           okBuiltin,
		"Err":          errBuiltin,
		"error":        errorBuiltin,
		"fail":         failBuiltin,
		"race":         raceBuiltin,
		"first_ok":     firstOkBuiltin,
		"select":       selectBuiltin,
		"as_completed": asCompletedBuiltin,
		"timeout":      timeoutBuiltin,
		"shield":       shieldBuiltin,
		"semaphore":    semaphoreBuiltin,
		"wait_until":   waitUntilBuiltin,
		"defer":        deferBuiltin,
		"on_failure":   onFailureBuiltin,
		"spawn":        spawnBuiltin,
		"bind":         bindBuiltin,
		"sleep":        sleepBuiltin,
		"sleep_until":  sleepUntilBuiltin,
		"timer":        timerBuiltin,
		"uuid4":        uuid4Builtin,
		"wait_signal":  waitSignalBuiltin,
		"signal":       signalBuiltin,
		"send_signal":  sendSignalBuiltin,
		"execution":    executionBuiltin,
		"workflow":     workflowBuiltin,
		"progress":     progressBuiltin,
		"status":       statusBuiltin,
		"counter":      counterBuiltin,

		"continue_as_new": continueBuiltin,
		"sum":             sumBuiltin,
		"round":           roundBuiltin,
		"isinstance":      isinstanceBuiltin,
		"struct":          structBuiltin,
		"fmt":             fmtBuiltin,
	} {
		d[name] = method(name, fn)
	}
	for _, name := range bounded {
		d[name] = withBounds(name)
	}
	for _, name := range showing {
		d[name] = withText(name)
	}
	d.Freeze()
	return d
}
