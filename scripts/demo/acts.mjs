// The two stories. Act 1: a healthy candidate goes all the way. Act 2: one that fails six times as often is caught.
import { setTimeout as sleep } from "node:timers/promises";
import { pooled } from "./http.mjs";
import { outcomes, random, users } from "./population.mjs";

const CONNECTIONS = 48;
const TICKS_MAX = 60;
const ERRORS_OF_BASELINE = 0.01;
/** The promise is 10 s: so long candidate answers are looked for after a rollback. */
const WATCHED_MS = 10_000;

const plan = (name, flag) => ({
	rollout: name,
	environment: "production",
	flags: [flag],
	phases: [5, 20, 50, 100].map((percent) => ({
		name: `${percent}_percent`,
		percent,
		hold: "4m",
		criteria: ["error_rate < 3%", "satisfaction mean > 8"],
	})),
	guards: ["error_rate vs control <= +25%"],
	red_flags: ["error_rate > 10%"],
	min_users: 100,
});

/** Starts a rollout and plays minute after minute until it has ended. `visitors(tick)` come in each. */
async function play(tidegate, { name, errorsOfCandidate, visitors, seed, say, beforeEnd }) {
	const { api } = tidegate;
	const draw = random(seed);
	await api("POST", "/flags?environment=production", { key: name, type: "boolean", description: `demo: ${name}` });
	const { id } = await api("POST", "/rollouts", plan(name, name));
	let rollout = await api("POST", `/rollouts/${id}/commands`, { command: "start", reason: "the demo begins" });
	const harmed = new Set();
	let ticks = 0;
	let stage = 0;
	while (rollout.status === "running" && ticks < TICKS_MAX) {
		const present = visitors(ticks++, draw);
		if (rollout.state.stage !== stage) {
			stage = rollout.state.stage;
			await untilServed(tidegate, name, rollout.phase, present[0]);
		}
		const answers = await pooled(present, CONNECTIONS, (user) => tidegate.evaluate(name, user));
		const events = present.flatMap((user, i) => {
			const isCandidate = answers[i].value === true;
			const happened = outcomes(user, isCandidate ? errorsOfCandidate : ERRORS_OF_BASELINE, draw);
			if (isCandidate && happened.some(({ metric, value }) => metric === "error" && value)) harmed.add(user);
			return happened;
		});
		await tidegate.report(events);
		await tidegate.tick();
		rollout = await api("GET", `/rollouts/${id}`);
		say.tick(rollout.health, rollout.startedAtMs);
	}
	await beforeEnd?.(rollout);
	return { rollout, ticks, usersHarmed: harmed.size };
}

/** A minute is only a second or so here, and an edge may look for news every five: wait until it serves the phase. */
async function untilServed(tidegate, flag, phase, user) {
	for (let tries = 0; tries < 400; tries++) {
		const answer = await tidegate.evaluate(flag, user).catch(() => undefined); // unknown until the edge has looked
		if (answer?.metadata.phase === phase) return;
		await sleep(50);
	}
	throw new Error(`the edge does not serve ${phase} of ${flag} after 20 s`);
}

export async function act1(tidegate, say) {
	const everybody = users("ann", 8_000);
	const { rollout, ticks } = await play(tidegate, {
		name: "new-checkout",
		errorsOfCandidate: ERRORS_OF_BASELINE,
		visitors: (tick) => everybody.slice((tick % 4) * 2_000, (tick % 4) * 2_000 + 2_000),
		seed: 1,
		say,
	});
	return { completed: rollout.status === "completed", ticks };
}

export async function act2(tidegate, say) {
	const everybody = users("bob", 8_000);
	const name = "new-search";
	const watcher = watchCandidate(tidegate, name, everybody.slice(0, 1_000));
	let edgeSafeMs = null;
	let served = 0;
	try {
		const { rollout, ticks, usersHarmed } = await play(tidegate, {
			name,
			errorsOfCandidate: 0.06,
			visitors: (_, draw) => Array.from({ length: 300 + Math.floor(draw() * 201) }, () => everybody[Math.floor(draw() * everybody.length)]),
			seed: 2,
			say,
			async beforeEnd({ id, status }) {
				if (status !== "rolled_back") return;
				const { events } = await tidegate.api("GET", `/rollouts/${id}/events`);
				const committedAtMs = events.at(-1).recordedAtMs;
				await sleep(Math.max(0, committedAtMs + WATCHED_MS - Date.now()));
				const lastAtMs = await watcher.stop();
				if (lastAtMs === 0) throw new Error("nobody was ever seen on the candidate: there is nothing to measure");
				edgeSafeMs = Math.max(0, lastAtMs - committedAtMs);
				const answers = await pooled(everybody, CONNECTIONS, (user) => tidegate.evaluate(name, user));
				served = answers.filter((answer) => answer.value === true).length;
				say.safe(edgeSafeMs, everybody.length - served, everybody.length);
			},
		});
		const rolledBack = rollout.status === "rolled_back" && served === 0;
		return { rolledBack, percentAtRollback: rolledBack ? rollout.health.percent : null, usersHarmed, ticks, edgeSafeMs };
	} finally {
		await watcher.stop();
	}
}

/** Steady requests, about 200 a second, by users of whom some are served the candidate. `stop` → when the last such answer came. */
function watchCandidate(tidegate, flag, sample) {
	const stopping = new AbortController();
	let lastAtMs = 0;
	let known = [];
	const loop = async () => {
		while (!stopping.signal.aborted) {
			// Users seen on the candidate come first: they are the ones who would still be.
			const asked = (known.length > 0 ? known : sample).slice(0, 20);
			try {
				const answers = await Promise.all(asked.map((user) => tidegate.evaluate(flag, user)));
				const found = asked.filter((_, i) => answers[i].value === true);
				if (found.length > 0) lastAtMs = Date.now();
				if (known.length === 0) known = found;
			} catch {
				// The flag is not there yet, or the edge has not heard of it.
			}
			if (known.length === 0) sample.push(...sample.splice(0, 20));
			await sleep(100);
		}
		return lastAtMs;
	};
	const done = loop();
	return {
		stop() {
			stopping.abort();
			return done;
		},
	};
}
