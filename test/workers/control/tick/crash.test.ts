import { command } from "../../../../core/rollouts/command";
import { commitChange } from "../../../../control/store/rolloutChanges";
import { NOW_MS, dyingIn } from "./dying";
import { HARMFUL, MINUTE_MS, START_MS, db, outcomes, started } from "./fixtures";

/** What a tick decides of rollouts, whatever it dies of. */

const HALF = { percent: 50, hold: "1m", min_users: 20 };
const TO_ALL = { percent: 100, hold: "1h" };
/** Of a limit; at half of the users, and nobody to compare with. */
const LIMITED = { guards: [], holdback: 50, phases: [{ percent: 50, hold: "1h", criteria: ["error_rate < 3%"] }] };
const FEW: typeof HARMFUL = { candidate: [25, 0], control: [25, 0] };
const FAILING: typeof HARMFUL = { candidate: [50, 25], control: [50, 0] };

/** Twice the harm: proven, and no failure that is rolled back whole. */
const DOUBLED: typeof HARMFUL = { candidate: [200, 120], control: [200, 50] };
const someFlags = (name: string): Parameters<typeof started>[1] => ({
	flags: [name, `${name}-too`],
	guards: [{ guard: "error_rate vs control <= +25%", flag: name }],
	holdback: 50,
	phases: [HALF, TO_ALL],
	rollback: { strategy: "feature" },
});

/** On its way back, and a stage lower now. */
async function lowering(name: string): Promise<void> {
	const atMs = START_MS - MINUTE_MS;
	const row = await started(name, { phases: [{ percent: 100, hold: "1h" }], rollback: { strategy: "gradual", every: "2m" } });
	const change = command(row.plan, row.state, { kind: "roll_back", by: "ann", reason: "slow", wayBack: { strategy: "gradual" } }, atMs);
	if (!change.ok) throw new Error(change.error.kind);
	const act = { actor: "ann", reason: "slow", correlationId: "c", atMs };
	await commitChange(db, { row, change: change.value, act, realNow: Date.now(), evidence: null });
}

dyingIn({
	onwards: {
		arrange: async () => {
			const rows = [
				await started("advances", { phases: [HALF, TO_ALL] }),
				await started("completes", { phases: [HALF], flags: ["completes", "completes-too"], target_percent: 50 }),
				await started("asks", { phases: [HALF, { ...TO_ALL, approval: "manual" }] }),
			];
			const come = (who: string) => Promise.all(rows.map((row) => outcomes(row, FEW, who)));
			await come("first");
			await started("holds");
			await started("begins", {}, { startsAtMs: NOW_MS });
			return () => come("second");
		},
		kinds: ["advance", "await_approval", "complete", "start"],
	},
	"the ways back": {
		arrange: async () => {
			await outcomes(await started("harmed"), HARMFUL);
			await outcomes(await started("gradual", { ...LIMITED, rollback: { strategy: "gradual", stages: [25, 0] } }), FAILING);
			await outcomes(await started("targeted", { ...LIMITED, rollback: { strategy: "targeted", keys: ["ann"] } }), FAILING);
			await outcomes(await started("earlier", { ...LIMITED, rollback: { strategy: "version" } }), FAILING);
			await outcomes(await started("some", someFlags("some")), DOUBLED, "u", "error@some");
			await lowering("lowers");
		},
		kinds: ["begin_rollback", "drop_flags", "exclude", "lower", "roll_back"],
	},
	"all of an environment back": {
		arrange: async () => {
			await outcomes(await started("whole", { ...LIMITED, rollback: { strategy: "full" } }), FAILING);
			await started("another");
			await started("waits", {}, { startsAtMs: NOW_MS + 60 * MINUTE_MS });
		},
		kinds: ["cancel", "roll_back"],
	},
});
