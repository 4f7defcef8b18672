import { flagOfRollout } from "../../core/flags/overlay";
import { alertEvent, changeEvent } from "../../core/notify/events";
import { WAYS_BACK } from "../../core/rollouts/advise";
import { liveRollout } from "../../core/rollouts/exposure";
import { type RolloutState, isActive, isLive } from "../../core/rollouts/state";
import { partsOf } from "../metrics/parts";
import { configOf } from "./flags";
import { UNANNOUNCED } from "./rollbacks";
import type { RolloutChange } from "./rolloutChanges";

/** What changes of rollouts write: as many statements for many of them as for one. */

type Row = Readonly<Record<string, unknown>>;
type Table = (row: RolloutChange) => readonly Row[];

/** Of `rollbacks`: begun, and not everybody is back yet. */
const COMING_DOWN = `rollbacks.strategy = 'gradual' AND rollbacks.due_at_ms IS NULL AND rollbacks.verified_at_ms IS NULL AND rollbacks.failure IS NULL`;

/**
 * The events first: whose key another has written loses all, and so does what was decided before a tick has learnt more, or names a
 * segment that is deleted since, by a revision that is NULL. What stands on another's result stands after it.
 */
const WRITES: readonly (readonly [sql: string, rows: Table])[] = [
	[
		`INSERT INTO rollout_events (rollout, revision, at_ms, recorded_at_ms, kind, reason, message, actor, correlation_id, "before", "after",
			evidence, idempotency_key)
		SELECT r.id, CASE WHEN coalesce(j.value ->> 'tickedAtMs', r.ticked_at_ms) = r.ticked_at_ms
				AND NOT EXISTS (SELECT 1 FROM json_each(j.value -> 'segments') AS s WHERE NOT EXISTS
					(SELECT 1 FROM segments WHERE environment = r.environment AND key = s.value)) THEN j.value ->> 'revision' END,
			j.value ->> 'atMs', j.value ->> 'realNow', j.value ->> 'kind', j.value ->> 'reason', j.value ->> 'message', j.value ->> 'actor',
			j.value ->> 'correlationId',
			CASE WHEN NOT j.value ->> 'isDamaged' THEN r.state ELSE json_set(CASE WHEN json_valid(r.state) AND json_type(r.state) = 'object'
				THEN r.state ELSE '{}' END, '$.status', r.status, '$.damaged', json('true')) END,
			j.value -> 'after', j.value -> 'evidence', j.value ->> 'idempotencyKey'
		FROM json_each(?1) AS j CROSS JOIN rollouts AS r ON r.id = j.value ->> 'rollout'`,
		(given) => {
			const { row, change, act, realNow, evidence, idempotencyKey } = given;
			const { kind, reason, message, state: after } = change;
			const { actor, correlationId, atMs } = act;
			const of = { rollout: row.id, revision: row.revision + 1, atMs, realNow, kind, reason, message, actor, correlationId };
			return [
				{
					...of,
					tickedAtMs: learntBy(given),
					segments: namedBy(given),
					isDamaged: row.state === null,
					after,
					evidence: evidence ?? null,
					idempotencyKey: idempotencyKey ?? null,
				},
			];
		},
	],
	[
		`UPDATE rollouts SET revision = e.revision, status = e."after" ->> '$.status', state = e."after", failed_changes = 0,
			ticked_at_ms = coalesce(j.value ->> 'tickedAtMs', ticked_at_ms), started_at_ms = coalesce(j.value ->> 'startedAtMs', started_at_ms)
		FROM json_each(?1) AS j CROSS JOIN rollout_events AS e ON e.rollout = j.value ->> 'rollout' AND e.revision = j.value ->> 'revision'
		WHERE rollouts.id = e.rollout`,
		({ row, change: { state: after }, act: { atMs } }) => {
			const tickedAtMs = isLive(after) ? after.watch.tickedAtMs : null;
			const startedAtMs = !wasLive(row) && isLive(after) ? atMs : null;
			return [{ rollout: row.id, revision: row.revision + 1, tickedAtMs, startedAtMs }];
		},
	],
	[
		`UPDATE environments SET changed = changed + 1, changed_at_ms = j.at_ms
		FROM (SELECT value ->> 'environment' AS name, max(value ->> 'atMs') AS at_ms FROM json_each(?1) GROUP BY 1) AS j WHERE environments.name = j.name`,
		(given) => {
			const { row, change, act, writes = [] } = given;
			// Pausing moves nobody, except into a retreat. What the overlay says a body must come to say too, or it would be lifted for nothing.
			const isMoved = backBy(given).length > 0 || writes.length > 0 || toldOf(row) !== toldOf(row, change.state);
			return isMoved ? [{ environment: row.environment, atMs: act.atMs }] : [];
		},
	],
	[
		// A flag that has changed since it was checked is NULL, and aborts all.
		`INSERT INTO active_flags (environment, flag, rollout)
		SELECT value ->> 'environment', (SELECT key FROM flags WHERE environment = value ->> 'environment' AND key = value ->> 'flag'
			AND version = value ->> 'version'), value ->> 'rollout' FROM json_each(?1)`,
		({ row, change, held = [] }) =>
			!wasActive(row) && isActive(change.state)
				? held.map(({ environment, key, version }) => ({ environment, flag: key, version, rollout: row.id }))
				: [],
	],
	[
		"DELETE FROM active_flags WHERE rollout IN (SELECT value ->> 'rollout' FROM json_each(?1))",
		({ row, change }) => (wasActive(row) && !isActive(change.state) ? [{ rollout: row.id }] : []),
	],
	[
		"DELETE FROM active_flags WHERE (rollout, flag) IN (SELECT value ->> 'rollout', value ->> 'flag' FROM json_each(?1))",
		(given) => droppedBy(given).map((flag) => ({ rollout: given.row.id, flag })),
	],
	[
		`INSERT INTO flag_versions (environment, key, version, config, at_ms, actor, reason)
		SELECT value ->> 'environment', value ->> 'key', value ->> 'version', value -> 'config', value ->> 'atMs', value ->> 'actor', value ->> 'reason'
		FROM json_each(?1)`,
		({ writes = [], act: { atMs, actor, reason } }) =>
			writes.map(({ flag: { environment, key, version }, config }) => ({
				environment,
				key,
				version: version + 1,
				config,
				atMs,
				actor,
				reason,
			})),
	],
	[
		`UPDATE flags SET version = j.value ->> 'version', config = j.value -> 'config', updated_at_ms = j.value ->> 'atMs' FROM json_each(?1) AS j
		WHERE flags.environment = j.value ->> 'environment' AND flags.key = j.value ->> 'key'`,
		({ writes = [], act: { atMs } }) =>
			writes.map(({ flag: { environment, key, version }, config }) => ({ environment, key, version: version + 1, config, atMs })),
	],
	[
		`INSERT INTO audit (at_ms, actor, resource, action, reason, correlation_id, "before", "after")
		SELECT value ->> 'atMs', value ->> 'actor', value ->> 'resource', value ->> 'action', value ->> 'reason', value ->> 'correlationId',
			value -> 'before', value -> 'after' FROM json_each(?1)`,
		({ writes = [], act }) =>
			writes.map(({ flag, config, action }) => {
				const resource = `flags/${flag.environment}/${flag.key}`;
				return { ...act, resource, action, before: configOf(flag), after: config };
			}),
	],
	[
		// Users go back with the head at once; the snapshot that says the same travels behind it.
		`INSERT INTO overlays (environment, kind, key, changed, added_at_ms)
		SELECT e.name, 'baseline', j.value ->> 'key', e.changed, j.value ->> 'realNow' FROM json_each(?1) AS j JOIN environments AS e
			ON e.name = j.value ->> 'environment' WHERE true
		ON CONFLICT (environment, kind, key) DO UPDATE SET changed = excluded.changed, added_at_ms = excluded.added_at_ms`,
		(given) => backBy(given).map((key) => ({ environment: given.row.environment, key, realNow: given.realNow })),
	],
	[
		"UPDATE head SET revision = revision + 1, content = revision + 1 WHERE json_array_length(?1) > 0",
		(given) => backBy(given).map((key) => ({ key })),
	],
	[
		// An edge is safe once it has heard of the revision that the head has now, unless the users go back with a later one.
		`INSERT INTO rollbacks (rollout, revision, environment, strategy, "trigger", actor, at_ms, recorded_at_ms, detect_ms, head_revision, steps, due_at_ms)
		SELECT value ->> 'rollout', value ->> 'revision', value ->> 'environment', value ->> 'strategy', value ->> 'trigger', value ->> 'actor',
			value ->> 'atMs', value ->> 'realNow', value ->> 'detectMs', coalesce(value ->> 'headRevision', (SELECT revision FROM head)), '[]',
			value ->> 'dueAtMs' FROM json_each(?1)`,
		({ row, change, act: { actor, atMs }, realNow, isEmergency }) => {
			// The rest of a gradual one is its own; a full one is the environment's besides.
			if (!WAYS_BACK.includes(change.kind) || (isComingDown(row) && change.strategy !== "full")) return [];
			const { kind, reason: trigger } = change;
			const strategy = isEmergency ? "emergency" : (change.strategy ?? "immediate");
			const detectMs = row.state && isLive(row.state) ? Math.max(0, atMs - row.state.sinceMs) : null;
			const headRevision = kind === "begin_rollback" || kind === "exclude" ? UNANNOUNCED : null;
			const of = { rollout: row.id, revision: row.revision + 1, environment: row.environment, headRevision };
			return [{ ...of, strategy, trigger, actor, atMs, realNow, detectMs, dueAtMs: kind === "begin_rollback" ? null : realNow }];
		},
	],
	[
		// Stage by stage is one way back: followed from its end on, however it comes.
		`UPDATE rollbacks SET head_revision = (SELECT revision FROM head), due_at_ms = j.value ->> 'realNow'
		FROM json_each(?1) AS j WHERE rollbacks.rollout = j.value ->> 'rollout' AND ${COMING_DOWN}`,
		({ row, change, realNow }) => (isComingDown(row) && !isLive(change.state) ? [{ rollout: row.id, realNow }] : []),
	],
	[
		`UPDATE rollbacks SET failure = 'resumed before everybody was back'
		FROM json_each(?1) AS j WHERE rollbacks.rollout = j.value ->> 'rollout' AND ${COMING_DOWN}`,
		({ row, change }) => (isComingDown(row) && change.kind === "resume" ? [{ rollout: row.id }] : []),
	],
	[
		`INSERT INTO audit (at_ms, actor, resource, action, reason, correlation_id, "before", "after")
		SELECT e.at_ms, e.actor, 'rollouts/' || e.rollout, 'rollout.' || e.kind, j.value ->> 'reason', e.correlation_id, e."before", e."after"
		FROM json_each(?1) AS j CROSS JOIN rollout_events AS e ON e.rollout = j.value ->> 'rollout' AND e.revision = j.value ->> 'revision'`,
		({ row, act: { reason } }) => [{ rollout: row.id, revision: row.revision + 1, reason }],
	],
	[
		`INSERT INTO outbox (at_ms, type, subject, payload)
		SELECT value ->> 'atMs', value ->> 'type', value ->> 'subject', value -> 'payload' FROM json_each(?1)`,
		({ row, change, act: { atMs } }) => {
			const { id: rollout, environment } = row;
			const { reason, message, state, strategy, alerts } = change;
			const told = { rollout, revision: row.revision + 1, environment, reason, message, status: state.status };
			// Whoever runs the origins is asked to restart them.
			const restart = {
				type: "environment.restart_requested",
				subject: `environments/${environment}`,
				payload: { rollout, environment, message },
			};
			return [
				{ atMs, type: changeEvent(change.kind), subject: rollout, payload: told },
				...(strategy === "full" ? [{ atMs, ...restart }] : []),
				...alerts.map((alert) => {
					const { kind, message: said } = alert;
					return { atMs, type: alertEvent(alert), subject: rollout, payload: { rollout, environment, kind, message: said } };
				}),
			];
		},
	],
];

/** One transaction's. */
export function changeStatements(client: D1Database, changes: readonly RolloutChange[]): D1PreparedStatement[] {
	return WRITES.flatMap(([sql, of]) => partsOf(changes.flatMap(of)).map((json) => client.prepare(sql).bind(json)));
}

/** The newest tick that it knows of; null: whatever ticks have learnt since, everybody goes back. */
export function learntBy({ row, change: { kind } }: RolloutChange): number | null {
	return kind === "roll_back" || kind === "cancel" ? null : row.tickedAtMs;
}

type Before = RolloutChange["row"];

const isComingDown = ({ status }: Before): boolean => status === "rolling_back";

/** One that nobody can read may be serving somebody, and holds its flags. */
const wasLive = ({ state }: Before): boolean => state === null || isLive(state);
const wasActive = ({ state }: Before): boolean => state === null || isActive(state);

/** Flags that it takes back while the others go on. */
function droppedBy({ row: { state: before }, change: { state: after } }: RolloutChange): readonly string[] {
	return before && isLive(before) && isLive(after) ? after.dropped.filter((flag) => !before.dropped.includes(flag)) : [];
}

/**
 * Segments that a person has it exclude. Those of its plan are left out: nobody can delete them meanwhile, and what the engine takes
 * back is held up by none that is gone all the same.
 */
function namedBy({ row: { plan, state: before }, change: { kind, state: after } }: RolloutChange): readonly string[] {
	if (kind !== "exclude" || !plan || !before || !isLive(before) || !isLive(after)) return [];
	const known = new Set([...before.excluded.segments, ...plan.rollback.segments]);
	return after.excluded.segments.filter((segment) => !known.has(segment));
}

/** What its environment's overlay gets. */
function backBy(given: RolloutChange): readonly string[] {
	const { row, change } = given;
	const isOver = wasLive(row) && (change.kind === "roll_back" || change.kind === "cancel");
	return isOver ? [row.id] : droppedBy(given).map((flag) => flagOfRollout(row.id, flag));
}

/** What edges are told of it. */
const toldOf = ({ id, plan, state }: Before, as: RolloutState | null = state): string =>
	(plan && as && JSON.stringify(liveRollout(id, plan, as))) ?? "";
