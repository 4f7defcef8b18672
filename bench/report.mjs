const USAGE = `[-- --json] [--quick]
  --json   one object on stdout: {bench, figures: [{name, value, unit, bar, holds}]}; bar and holds are null where there is no bar
  --quick  fewer rounds, within 30 s: noisier
Exits 1 when a bar is missed.`;

const known = new Set(["--json", "--quick", "--help"]);
const args = process.argv.slice(2);
export const isQuick = args.includes("--quick");

/** A benchmark's figures, collected while it runs and printed at its end. */
export function startReport(bench) {
	const unknown = args.find((arg) => !known.has(arg));
	if (args.includes("--help") || unknown !== undefined) {
		process.stderr.write(`${unknown === undefined ? "" : `unknown option ${unknown}\n`}npm run bench:${bench} ${USAGE}\n`);
		process.exit(unknown === undefined ? 0 : 2);
	}
	const figures = [];
	const notes = [];
	return {
		/** A figure without a bar informs. */
		figure(name, value, unit, bar = null) {
			figures.push({ name, value: round(value), unit, bar, holds: bar === null ? null : value <= bar });
		},
		note: (text) => notes.push(text),
		progress: (text) => process.stderr.write(`[bench] ${text}\n`),
		/** Prints everything; the exit code says whether every bar holds. */
		end() {
			const isMissed = figures.some(({ holds }) => holds === false);
			process.stdout.write(args.includes("--json") ? `${JSON.stringify({ bench, figures })}\n` : print(bench, figures, notes));
			process.exitCode = isMissed ? 1 : 0;
		},
	};
}

function print(bench, figures, notes) {
	const verdict = { true: "holds", false: "MISSED", null: "" };
	const rows = figures.map(({ name, value, unit, bar, holds }) => [
		name,
		value.toLocaleString("en"),
		unit,
		bar === null ? "" : `≤ ${bar}`,
		verdict[String(holds)],
	]);
	const table = [["", "value", "unit", "bar", ""], ...rows];
	const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
	const lines = table.map((row) => row.map((cell, i) => (i === 1 ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join("  "));
	return `\n${[`bench:${bench}`, ...lines.map((line) => line.trimEnd()), "", ...notes].join("\n")}\n`;
}

/** Three significant digits: more would be noise. */
function round(value) {
	return Number(value.toPrecision(3));
}
