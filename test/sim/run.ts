import { parseArgs } from 'node:util';
import { simulate } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '500' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false },
  },
});

if (values.seed !== undefined) {
  const trace = values.trace ? (line: string) => console.log(line) : null;
  console.log(simulate(Number(values.seed), trace));
} else {
  const begin = process.cpuUsage();
  const from = Number(values.from);
  let failures = 0;
  for (let seed = from; seed < from + Number(values.seeds); seed++) {
    const result = simulate(seed);
    if (result.failure !== null) {
      failures++;
      console.log(seed, result.isCalm ? 'calm' : '', result.members, result.failure.slice(0, 300));
    }
  }
  const { user, system } = process.cpuUsage(begin);
  console.log({ failures, cpuMs: (user + system) / 1000 / Number(values.seeds) });
}
