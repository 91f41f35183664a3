package postgres

import "context"

// Inspect returns a setting as a transaction of the store has it.
func (s *Store) Inspect(ctx context.Context, name string, value *string) error {
	return s.transact(ctx, 0, func(t *tx) error {
		_, err := t.first([]any{value}, "SELECT current_setting($1::text)", name)
		return err
	})
}
