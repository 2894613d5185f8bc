package tidy

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// Habits checks the Go sources for what CONTRIBUTING.md forbids: tests that sleep or skip, and
// packages that print, log to a logger nobody handed them, or run code before main.
func Habits(t *Tree) []Finding {
	var found []Finding
	for _, p := range t.Packages {
		for _, f := range p.Files {
			ast.Inspect(f.AST, func(node ast.Node) bool {
				switch n := node.(type) {
				case *ast.CallExpr:
					if why := forbiddenCall(f, n, p.main()); why != "" {
						found = append(found, t.at(n.Pos(), "%s", why))
					}
				case *ast.FuncDecl:
					if n.Recv == nil && n.Name.Name == "init" {
						found = append(found, t.at(n.Pos(), "init runs before main, for whoever imports the package: call it by a name"))
					}
				}
				return true
			})
		}
	}
	return found
}

// skips are the methods by which a test is not run. Nothing else in tests may have these names.
var skips = []string{"Skip", "Skipf", "SkipNow"}

// forbiddenCall says why a call must not be there, or returns "".
func forbiddenCall(f *File, call *ast.CallExpr, program bool) string {
	if f.Test {
		if name, ok := f.calls(call, "time"); ok && name == "Sleep" {
			return "a test sleeps: wait for the condition, or use virtual time"
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if ok && slices.Contains(skips, selector.Sel.Name) {
			return "a test is skipped: what it claims would not be shown"
		}
		return ""
	}
	if program {
		return ""
	}
	if name, ok := f.calls(call, "fmt"); ok && strings.HasPrefix(name, "Print") {
		return "a package prints: return it, or log it to the logger that was handed in"
	}
	if builtin, ok := call.Fun.(*ast.Ident); ok && (builtin.Name == "print" || builtin.Name == "println") {
		return "a package prints: return it, or log it to the logger that was handed in"
	}
	if name, ok := f.calls(call, "log"); ok {
		return fmt.Sprintf("log.%s uses a logger that nobody handed in", name)
	}
	if name, ok := f.calls(call, "log/slog"); ok && slices.Contains(defaultLoggers, name) {
		return fmt.Sprintf("slog.%s uses a logger that nobody handed in", name)
	}
	return ""
}

// defaultLoggers are the functions of log/slog that use its default logger.
var defaultLoggers = []string{
	"Debug", "DebugContext", "Default", "Error", "ErrorContext", "Info", "InfoContext", "Log", "LogAttrs",
	"SetDefault", "Warn", "WarnContext",
}
