// How a run's report looks: the document up to its title.
#pragma once

#include <string_view>

namespace quern {

constexpr std::string_view kReportHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
  :root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6775; --paper: #fff; --card: #f5f7f9; --line: #d8dee5;
          --good: #1a7f45; --bad: #b3261e; --warn: #8a5a00; --reading: #8cc0e3; --writing: #0072b2; --waiting: #b5bcc5; --tool: #d55e00;
          --check: #009e73; --plus: #e3f5e9; --minus: #fdeaea; --code: 13px/1.5 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e4e8ed; --soft: #9aa6b4; --paper: #12161b; --card: #1b2128; --line: #343d48; --good: #5fd08a; --bad: #ff8a80;
            --warn: #f0b955; --reading: #2c6488; --writing: #56b4e9; --waiting: #59636f; --tool: #e88a3c; --check: #2fc79b;
            --plus: #16331f; --minus: #3d1d1d; }
  }
  * { box-sizing: border-box; }
  body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: var(--paper);
         font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
  h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
  h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
  h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
  p { margin: .5rem 0; }
  .badge { display: inline-block; font-size: .85rem; font-weight: 600; padding: .1rem .6rem; border: 1.5px solid; border-radius: 1rem;
           vertical-align: .25em; margin-left: .5rem; white-space: nowrap; }
  .success, .passed { color: var(--good); } .failed { color: var(--bad); } .cancelled, .unknown { color: var(--warn); }
  .text { white-space: pre-wrap; overflow-wrap: anywhere; }
  .task { border-left: 3px solid var(--line); padding: .1rem 0 .1rem .9rem; margin: .75rem 0; }
  .reason { font-weight: 600; }
  .facts { color: var(--soft); font-size: .9rem; margin: .75rem 0; display: grid; grid-template-columns: max-content 1fr; gap: .1rem .9rem; }
  .facts dt { margin: 0; } .facts dd { margin: 0; color: var(--ink); overflow-wrap: anywhere; }
  .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(6.5rem, 1fr)); gap: .6rem; margin: 1.25rem 0; }
  .tile { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem; }
  .tile b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; line-height: 1.3; }
  .tile span { color: var(--soft); font-size: .82rem; }
  .answer { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; }
  .soft { color: var(--soft); font-size: .9rem; }
  .key { white-space: nowrap; margin-right: 1rem; } .key i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
  i.reading { background: var(--reading); } i.writing { background: var(--writing); } i.waiting { background: var(--waiting); }
  i.tool { background: var(--tool); } i.check { background: var(--check); }
  svg { display: block; width: 100%; height: 1rem; background: var(--card); }
  svg.whole { height: 1.5rem; border: 1px solid var(--line); }
  rect.reading { fill: var(--reading); } rect.writing { fill: var(--writing); } rect.waiting { fill: var(--waiting); }
  rect.tool { fill: var(--tool); } rect.check { fill: var(--check); }
  .row { display: grid; grid-template: "label bar time" / minmax(0, 15rem) minmax(0, 1fr) 5.5rem; gap: 0 .75rem; align-items: center;
         font-size: .85rem; margin: .15rem 0; }
  .row svg { grid-area: bar; } .row .label { grid-area: label; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--ink); text-decoration: none; }
  a.label:hover { text-decoration: underline; }
  .row .time { grid-area: time; text-align: right; font-variant-numeric: tabular-nums; color: var(--soft); }
  details { border: 1px solid var(--line); border-radius: .5rem; margin: .4rem 0; background: var(--card); }
  details > :not(summary) { margin-left: .9rem; margin-right: .9rem; }
  summary { cursor: pointer; padding: .4rem .9rem; display: flex; gap: .6rem; align-items: baseline; }
  summary::before { content: "▸"; color: var(--soft); } details[open] > summary::before { content: "▾"; }
  summary::-webkit-details-marker { display: none; }
  summary .number { color: var(--soft); font-size: .85rem; font-variant-numeric: tabular-nums; }
  summary .what { flex: 1 1 auto; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font: var(--code); }
  details[open] > summary .what { white-space: normal; overflow-wrap: anywhere; }
  summary .how { flex: none; font-size: .85rem; color: var(--soft); font-variant-numeric: tabular-nums; }
  summary .how.failed { color: var(--bad); } summary .how.passed { color: var(--good); } .plus { color: var(--good); } .minus { color: var(--bad); }
  :target { outline: 2px solid var(--writing); }
  pre { font: var(--code); margin: .3rem 0 .8rem; padding: .6rem .75rem; background: var(--paper); border: 1px solid var(--line);
        border-radius: .35rem; overflow: auto; max-height: 32rem; white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; }
  pre.failed { border-color: var(--bad); color: inherit; }
  table { border-collapse: collapse; width: 100%; margin: .3rem 0 .8rem; }
  details > table { width: calc(100% - 1.8rem); }
  td, th { text-align: left; vertical-align: top; padding: .2rem .75rem .2rem 0; font-weight: normal; }
  th { color: var(--soft); font: var(--code); white-space: nowrap; } td { width: 100%; } td pre { margin: 0; }
  .say { padding: .1rem 0 .1rem .9rem; border-left: 3px solid var(--writing); margin: .75rem 0; }
  pre.diff { padding: .4rem 0; } pre.diff span { display: block; padding: 0 .75rem; }
  pre.diff .a { background: var(--plus); } pre.diff .r { background: var(--minus); } pre.diff .h { color: var(--soft); }
  footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; border-top: 1px solid var(--line); padding-top: .75rem; }
  @media (max-width: 40rem) {
    body { padding: 1.25rem .8rem 3rem; }
    .row { grid-template: "label time" "bar bar" / minmax(0, 1fr) max-content; margin: .35rem 0; } .row svg { height: .7rem; }
    summary { gap: .45rem; padding: .4rem .6rem; } details > :not(summary) { margin-left: .6rem; margin-right: .6rem; }
    details > table { width: calc(100% - 1.2rem); } th, td { display: block; padding: 0; width: auto; }
  }
  @media print {
    :root { color-scheme: light; }
    body { max-width: none; padding: 0; font-size: 10.5pt; }
    details::details-content { content-visibility: visible; block-size: auto; }
    summary::before { content: none; } summary .what { white-space: normal; overflow-wrap: anywhere; }
    pre { max-height: none; } svg, pre span, i { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
    .row, .tile, summary { break-inside: avoid; } h2, summary { break-after: avoid; }
  }
</style>
)";

}  // namespace quern
