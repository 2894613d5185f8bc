package pebblekv

import (
	"context"
	"fmt"
)

// Compact writes all tables anew without what has been deleted or replaced, so that the room it took up
// is free. What is in memory is flushed first. Reads and commits go on beside it; for as long as it runs,
// the disk may hold what is rewritten twice. It ends early if ctx does, and what was rewritten by then
// stays so.
func (e *Engine) Compact(ctx context.Context) error {
	if err := e.db.Compact(ctx, []byte{0x00}, []byte{0xff}, false); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return nil
}
