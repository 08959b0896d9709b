-- Who a session was, after it has ended: changes are attributed to it as long as their versions may not be stored yet.
CREATE TABLE node.past_session (
    id          bigint PRIMARY KEY,
    user_name   text NOT NULL,
    workstation text NOT NULL,
    ended       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX past_session_ended ON node.past_session (ended);
