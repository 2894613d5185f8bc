package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// askAt asks a server of the fake net, from a host, as somebody with the n-th identity.
func askAt(n *fakeNet, to *server, as byte, body string) (Question, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := n.dialFrom("10.0.0.99")(ctx, addressOf(to.id))
	if err != nil {
		return Question{}, err
	}
	return Ask(ctx, testIdentity(as), conn, func(Question) ([]byte, error) { return []byte(body), nil })
}

func TestQuestionAndAnswerHaveTheirLayout(t *testing.T) {
	golden(t, "question", appendNote(nil, noteQuestion, []byte("what?")))
	golden(t, "answer", appendNote(nil, noteAnswer, []byte("that")))
}

func TestQuestionIsAnsweredOverItsOwnConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		var seen []Question
		s := start(t, n, 1, func(o *Options) {
			o.Answer = func(_ context.Context, q Question) ([]byte, error) {
				seen = append(seen, q)
				return append([]byte("not "), q.Body...), nil
			}
		})
		var bindings [][]byte
		for range 2 {
			got, err := askAt(n, s, 7, "this")
			if err != nil {
				t.Fatal(err)
			}
			q := seen[len(seen)-1]
			if string(got.Body) != "not this" || got.Key != s.identity.Public() || q.Key != testIdentity(7).Public() {
				t.Errorf("got %q of key %s, it saw key %s", got.Body, got.Key.Fingerprint(), q.Key.Fingerprint())
			}
			if got.Remote.String() != addressOf(1) || q.Local.String() != addressOf(1) || q.Remote.String() != got.Local.String() {
				t.Errorf("ends are %v, %v and %v, %v", got.Local, got.Remote, q.Local, q.Remote)
			}
			if len(got.Binding) != bindingBytes || !bytes.Equal(got.Binding, q.Binding) {
				t.Errorf("binding is %x here and %x there", got.Binding, q.Binding)
			}
			bindings = append(bindings, got.Binding)
		}
		if bytes.Equal(bindings[0], bindings[1]) {
			t.Error("two connections have the same binding")
		}
		synctest.Wait()
		if text := s.log.String(); strings.Contains(text, "refused") {
			t.Errorf("its log says %s", text)
		}
	})
}

func TestQuestionIsRefusedInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		var answer func(ctx context.Context, q Question) ([]byte, error)
		s := start(t, n, 1, func(o *Options) {
			o.Answer = func(ctx context.Context, q Question) ([]byte, error) { return answer(ctx, q) }
		})
		silent := start(t, n, 2, nil)
		for _, c := range []struct {
			name   string
			to     *server
			body   string
			answer func(ctx context.Context, q Question) ([]byte, error)
			reason Reason
			text   string
		}{
			{"nobody is answered", silent, "x", nil, ReasonQuestion, "takes no questions"},
			{"no", s, "x", func(context.Context, Question) ([]byte, error) { return nil, errors.New("ask somebody else") }, ReasonQuestion, "ask somebody else"},
			{"never", s, "x", func(context.Context, Question) ([]byte, error) {
				return nil, fmt.Errorf("x: %w", &Denial{errors.New("not you")})
			}, ReasonDenied, "not you"},
			{"too long", s, "x", func(context.Context, Question) ([]byte, error) { return make([]byte, MaxAnswerBytes+1), nil }, ReasonQuestion, "8388609 bytes"},
			{"it takes for ever", s, "x", func(ctx context.Context, _ Question) ([]byte, error) {
				<-ctx.Done()
				return nil, errors.New("too late")
			}, ReasonQuestion, "too late"},
		} {
			answer = c.answer
			_, err := askAt(n, c.to, 7, c.body)
			if err == nil {
				t.Errorf("%s: it is answered", c.name)
			} else if why := asRefusal(err); why == nil || !why.Remote || why.Reason != c.reason || !strings.Contains(why.Text, c.text) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	})
}

func TestOnlySoManyAreAnsweredAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		release := make(chan struct{})
		s := start(t, n, 1, func(o *Options) {
			o.Answer = func(ctx context.Context, q Question) ([]byte, error) {
				select {
				case <-release:
				case <-ctx.Done():
				}
				return q.Body, nil
			}
		})
		results := make(chan string, maxQuestions+1)
		for i := range maxQuestions {
			go func() {
				got, err := askAt(n, s, byte(i), fmt.Sprint(i))
				results <- fmt.Sprint(string(got.Body), err)
			}()
		}
		synctest.Wait()
		if _, err := askAt(n, s, 100, "x"); asRefusal(err) == nil || asRefusal(err).Reason != ReasonBusy {
			t.Errorf("one more: %v", err)
		}
		close(release)
		var got []string
		for range maxQuestions {
			got = append(got, <-results)
		}
		slices.Sort(got)
		if want := []string{"0<nil>", "1<nil>", "2<nil>", "3<nil>", "4<nil>", "5<nil>", "6<nil>", "7<nil>"}; !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
		synctest.Wait() // they have been answered, and it knows
		if _, err := askAt(n, s, 100, "x"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestAskEndsWithItsContextAndItsQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		s := start(t, n, 1, func(o *Options) {
			o.Answer = func(ctx context.Context, _ Question) ([]byte, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn, err := n.dialFrom("10.0.0.99")(ctx, addressOf(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Ask(ctx, testIdentity(7), conn, func(Question) ([]byte, error) { return nil, nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		for _, c := range []struct {
			body []byte
			err  error
			want string
		}{
			{nil, errors.New("not that server"), "not that server"},
			{make([]byte, MaxQuestionBytes+1), nil, "65537 bytes"},
		} {
			conn, err := n.dialFrom("10.0.0.99")(context.Background(), addressOf(1))
			if err != nil {
				t.Fatal(err)
			}
			_, err = Ask(context.Background(), testIdentity(7), conn, func(q Question) ([]byte, error) {
				if q.Key != s.identity.Public() {
					t.Errorf("it shows key %s", q.Key.Fingerprint())
				}
				return c.body, c.err
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		}
	})
}
