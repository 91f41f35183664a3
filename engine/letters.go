// Dead letters: steps whose attempts are used up.

package engine

import (
	"encoding/json"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// letterInput is what is needed to look at a dead letter and to run it again:
// the JSON of backend.DeadLetter.Input.
type letterInput struct {
	Args    json.RawMessage           `json:"args"`             // stored form
	Kwargs  json.RawMessage           `json:"kwargs,omitempty"` // stored form
	Options *starlark.ActivityOptions `json:"options,omitempty"`
	Pos     string                    `json:"pos,omitempty"`
}

// bury keeps a step that has failed for good, after an attempt of it, as a dead letter.
func (x *execution) bury(st *step, f *activities.Failure) {
	if st.cmd.Kind != starlark.CallActivity || st.begun == 0 || f.Kind == "Cancelled" {
		return
	}
	input, _ := json.Marshal(letterInput{ // JSON and plain fields: never fails
		Args: st.cmd.Args, Kwargs: st.cmd.Kwargs, Options: st.cmd.Options, Pos: st.cmd.Pos,
	})
	x.dead = append(x.dead, backend.DeadLetter{
		Step: st.cmd.Step, Activity: st.cmd.Name, Attempts: st.begun, Failure: encodeFailure(f), Input: input,
	})
}
