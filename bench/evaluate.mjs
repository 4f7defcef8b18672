// npm run bench:evaluate: how long one evaluation takes in process, over a hand-written evaluator, beside other SDKs.
import { loadTidegate } from "./build.mjs";
import { someContexts, someFlags } from "./flags.mjs";
import { arePeersInstalled } from "./install.mjs";
import { compile } from "./limit.mjs";
import { isQuick, startReport } from "./report.mjs";
import { median, medianRatio, shuffled } from "./stats.mjs";

const COUNTS = [1, 50, 1_000];
const CONTEXTS = 997; // prime: every flag meets every context
const ROUNDS = isQuick ? 15 : 100;
const ROUND_MS = isQuick ? 4 : 6;
const BAR = 2;
const LIMIT = "limit";
const TIDEGATE = "Tidegate";
const PEERS = ["flagd", "unleash", "growthbook", "launchdarkly"];

const report = startReport("evaluate");
const tidegate = await loadTidegate();
const peers = arePeersInstalled() ? await Promise.all(PEERS.map((peer) => import(`./peers/${peer}.mjs`))) : [];
const contexts = someContexts(CONTEXTS);
/** The last result: what escapes here no compiler may leave out. */
export let kept;

for (const count of COUNTS) {
	const flags = tidegate.author(someFlags(count));
	const arms = await startArms(flags);
	await check(arms, flags);
	for (const what of ["one", "all"]) {
		report.progress(`${what} of ${count}: ${arms.size} arms, ${ROUNDS} rounds`);
		const nanoseconds = await measure(arms, flags, what);
		const name = count === 1 ? what : `${what} of ${count.toLocaleString("en")}`;
		if (count === 1 && what === "all") continue;
		for (const [arm, costs] of nanoseconds) {
			if (arm === LIMIT) report.figure(`${name}: the limit, a flag`, median(costs), "ns");
			else
				report.figure(
					`${name}: ${arm}`,
					medianRatio(costs, nanoseconds.get(LIMIT)),
					"× limit",
					arm === TIDEGATE && count === 1_000 ? BAR : null,
				);
		}
	}
	for (const arm of arms.values()) arm.stop?.();
}
if (peers.length === 0) for (const peer of PEERS) report.note(`${peer}: skipped: not installed`);
report.note("the limit: every flag a hand-written closure (bench/limit.mjs). Ratios: medians over interleaved rounds of one process.");
report.end();

async function startArms(flags) {
	const limit = compile(flags);
	const { body } = tidegate.packBody("production", flags);
	const snapshot = tidegate.openBody(new TextEncoder().encode(body));
	const arms = new Map([
		[LIMIT, { one: (key, i) => limit.one(key, contexts[i]), all: (i) => limit.all(contexts[i]), valueOf: ({ value }) => value }],
		[
			TIDEGATE,
			{
				one: (key, i) => tidegate.evaluateOne(snapshot, key, contexts[i]),
				all: (i) => tidegate.evaluateAll(snapshot, contexts[i]),
				valueOf: ({ value }) => value,
			},
		],
	]);
	for (const peer of peers) arms.set(peer.name, await peer.start(flags, contexts));
	return arms;
}

/** The limit must answer all that Tidegate answers; the peers, which bucket in their own ways, a variant where Tidegate splits. */
async function check(arms, flags) {
	for (const [f, { key, variants }] of flags.entries())
		for (let i = f % 10; i < CONTEXTS; i += 10) {
			const right = arms.get(TIDEGATE).one(key, i);
			for (const [name, arm] of arms) {
				const result = await arm.one(key, i);
				const value = arm.valueOf(result, key);
				const isRight =
					name === LIMIT
						? value === right.value && result.variant === right.variant && result.reason === right.reason
						: right.reason === "SPLIT"
							? Object.values(variants).includes(value)
							: value === right.value;
				if (!isRight) throw new Error(`${name}, ${key}: ${JSON.stringify(result)}, Tidegate says ${JSON.stringify(right)}`);
			}
		}
}

/** Nanoseconds an evaluated flag, by arm and round. */
async function measure(arms, flags, what) {
	const keys = flags.map(({ key }) => key);
	const calls = new Map();
	for (const [name, arm] of arms) calls.set(name, await calibrate(arm, keys, what));
	const costs = new Map([...arms.keys()].map((name) => [name, []]));
	const each = what === "all" ? keys.length : 1;
	for (let round = 0; round < ROUNDS; round++)
		for (const [name, arm] of shuffled(arms)) {
			const count = calls.get(name);
			costs.get(name).push((await time(arm, keys, what, count, round)) / count / each);
		}
	return costs;
}

/** Warms an arm up, and finds how many calls fill a round. */
async function calibrate(arm, keys, what) {
	for (let count = 1; ; count *= 2) {
		const ms = (await time(arm, keys, what, count, 0)) / 1e6;
		if (ms > 10 * ROUND_MS) return Math.max(1, Math.round((count * ROUND_MS) / ms));
	}
}

async function time(arm, keys, what, count, round) {
	const run = arm.isAsync ? runAsync : async (...of) => runSync(...of);
	// Untimed: the arm before has filled the processor's caches with its own data.
	await run(arm, keys, what, Math.min(count, what === "one" ? 2 * keys.length : 2), round * 31);
	const startedNs = process.hrtime.bigint();
	await run(arm, keys, what, count, round * 31);
	return Number(process.hrtime.bigint() - startedNs);
}

function runSync(arm, keys, what, count, offset) {
	let context = offset % CONTEXTS;
	for (let i = 0, flag = 0; i < count; i++) {
		kept = what === "one" ? arm.one(keys[flag], context) : arm.all(context);
		if (++flag === keys.length) flag = 0;
		if (++context === CONTEXTS) context = 0;
	}
}

async function runAsync(arm, keys, what, count, offset) {
	let context = offset % CONTEXTS;
	for (let i = 0, flag = 0; i < count; i++) {
		kept = await (what === "one" ? arm.one(keys[flag], context) : arm.all(context));
		if (++flag === keys.length) flag = 0;
		if (++context === CONTEXTS) context = 0;
	}
}
