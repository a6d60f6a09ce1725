import { runSeed } from '/work/main/test/sim/run-seed.js';
const t=performance.now();
const total: Record<string, number> = {};
const n=Number(process.env.N ?? 20);
let fails=0;
for (let seed=1; seed<=n; seed++) {
  try { const {figures}=runSeed({seed, nodes: seed%2?3:5, steps: Number(process.env.STEPS ?? 2000)});
  for (const [k,v] of Object.entries(figures)) total[k]=(total[k]??0)+v; }
  catch(e) { fails++; if (fails<6) console.log((e as Error).message, ((e as Error).cause as Error)?.stack?.split('\n').slice(1,9).join('\n')); }
}
console.log(total, 'fails', fails, (performance.now()-t|0)+'ms');
