package probe

import (
	"encoding/json"
	"fmt"
)

// show makes a part of a report readable.
func show(x any) string {
	text, err := json.Marshal(x)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text)
}
