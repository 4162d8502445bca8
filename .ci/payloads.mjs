// The messages of Slack and Teams: as constants for TypeScript, by the renderer of Adaptive Cards, and as pages for people.
// Usage: payloads.mjs types|broken GOLDENS | render TEAMS.json | pages GOLDENS FOLDER
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);
const read = (file) => JSON.parse(readFileSync(file, 'utf8'));

const TYPES = {
    slack: '{ text: string; blocks: KnownBlock[]; unfurl_links?: boolean; unfurl_media?: boolean; user?: string }',
    teams: `{ type: 'message'; attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive'; content: IAdaptiveCard }] }`,
};
const HEAD = `import type { KnownBlock } from '@slack/types';\nimport type { IAdaptiveCard } from '@microsoft/teams.cards';\n`;

// Each message is a literal of the vendor's type, so that members that it does not have are errors as well.
function types(folder) {
    const lines = Object.entries(TYPES).flatMap(([kind, type]) =>
        Object.entries(read(join(folder, `${kind}.json`))).map(
            ([name, message]) => `// ${kind}: ${name}\nexport const ${identifier(kind, name)}: ${type} = ${JSON.stringify(message, null, 1)};`));
    return HEAD + lines.join('\n');
}

const identifier = (kind, name) => `${kind}_${name.replaceAll(' ', '_')}`;

// What is wrong on purpose, one thing in each constant: `@ts-expect-error` makes it an error where the types do not notice.
const BROKEN = [
    ['slack', (it) => { it.blocks[0].text.type = 'plain_texts'; }],
    ['slack', (it) => { it.blocks[0].type = 'headline'; }],
    ['slack', (it) => { it.blocks[0].more = 1; }],
    ['slack', (it) => { it.blocks.at(-1).elements[0].style = 'red'; }],
    ['slack', (it) => { delete it.blocks.at(-1).elements; }],
    ['slack', (it) => { it.blocks.find((block) => block.type === 'rich_text').elements[0].elements[0].text = 7; }],
    ['teams', (it) => { it.attachments[0].content.body[0].inlines[0].weight = 'Bold'; }],
    ['teams', (it) => { it.attachments[0].content.body[0].inlines[0].more = 1; }],
    ['teams', (it) => { it.attachments[0].content.body[0].type = 'RichText'; }],
    ['teams', (it) => { it.attachments[0].content.body[0].inlines = 'one'; }],
    ['teams', (it) => { it.attachments[0].content.actions[0].type = 'Action.Open'; }],
    ['teams', (it) => { it.attachments[0].content.version = 1.5; }],
];

function broken(folder) {
    const lines = BROKEN.map(([kind, spoil], at) => {
        const message = read(join(folder, `${kind}.json`))['everyday pending'];
        spoil(message);
        // On one line: the comment counts for the next line only.
        return `// @ts-expect-error\nexport const broken_${at}: ${TYPES[kind]} = ${JSON.stringify(message)};`;
    });
    return HEAD + lines.join('\n');
}

// Every text run of a card, in the order in which they stand.
const runs = (card) => card.body.flatMap((block) => block.inlines.map((inline) => inline.text));

// Parses and renders every card as the published renderer does: without a complaint, each text as it is, nothing to press but the button.
function render(file) {
    const { JSDOM } = require('jsdom');
    const { window } = new JSDOM('<!doctype html>');
    for (const name of ['window', 'document', 'HTMLElement', 'HTMLButtonElement', 'Element', 'Node', 'Text']) {
        Object.defineProperty(globalThis, name, { value: name === 'window' ? window : window[name], configurable: true });
    }
    // The renderer sets text in the way of browsers, which is all that is missing here.
    Object.defineProperty(window.HTMLElement.prototype, 'innerText', {
        get() { return this.textContent; }, set(text) { this.textContent = text; },
    });
    const cards = require('adaptivecards/dist/adaptivecards.js');
    const complaints = (content) => {
        const context = new cards.SerializationContext(cards.Versions.v1_5);
        const card = new cards.AdaptiveCard();
        card.parse(content, context);
        const found = [];
        for (let at = 0; at < context.eventCount; at += 1) found.push(context.getEventAt(at).message);
        for (const failure of card.validateProperties().validationEvents) found.push(failure.message);
        return { card, found };
    };
    const messages = Object.entries(read(file));
    for (const [name, message] of messages) {
        const content = message.attachments[0].content;
        const { card, found } = complaints(content);
        if (found.length) throw new Error(`${name}: ${found.join('; ')}`);
        const element = card.render();
        const shown = element.textContent;
        for (const text of runs(content)) {
            if (!shown.includes(text)) throw new Error(`${name}: not shown as it is: ${text.slice(0, 80)}`);
        }
        const other = element.querySelectorAll('a, script, iframe, img, input').length;
        const buttons = element.querySelectorAll('button').length;
        if (other || buttons !== content.actions.length) throw new Error(`${name}: ${other} elements that do something, ${buttons} buttons`);
    }
    // The renderer has to be able to complain.
    const spoil = [
        (it) => { it.body[0].type = 'RichTextBlocks'; },
        (it) => { it.actions[0].type = 'Action.Open'; },
        (it) => { it.body[0].inlines[0].weight = 'Bold'; },
        (it) => { it.version = '9.9.9.x'; },
        (it) => { delete it.actions[0].url; },
    ];
    const noticed = spoil.filter((one) => {
        const content = structuredClone(messages[0][1].attachments[0].content);
        one(content);
        return complaints(content).found.length > 0;
    }).length;
    if (noticed !== spoil.length) throw new Error(`only ${noticed} of ${spoil.length} faults on purpose were noticed`);
    console.log(`teams: ${messages.length} cards rendered as they are; ${noticed} faults on purpose noticed`);
}

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

// Slack's blocks drawn by ourselves: roughly as Slack draws them.
function block(it) {
    const text = (part) => escape(part.text).replaceAll('\n', '<br>');
    switch (it.type) {
        case 'header': return `<h3>${text(it.text)}</h3>`;
        case 'section': return it.fields
            ? `<div class=fields>${it.fields.map((field) => `<div>${text(field)}</div>`).join('')}</div>`
            : `<p>${text(it.text)}</p>`;
        case 'rich_text': return it.elements.map((element) => `<pre>${element.elements.map((part) => escape(part.text)).join('')}</pre>`).join('');
        case 'context': return `<small>${it.elements.map(text).join(' &nbsp; ')}</small>`;
        case 'actions': return it.elements.map((button) => `<button class="${button.style ?? ''}">${text(button.text)}</button>`).join(' ');
        default: throw new Error(it.type);
    }
}

const PAGE = (title, style, body) => `<!doctype html><meta charset=utf-8><title>${title}</title><style>
body{font:15px/1.45 "DejaVu Sans",sans-serif;margin:16px;width:700px} .message{border:1px solid #ddd;border-radius:8px;padding:12px;margin:0 0 16px}
.name{color:#888;font-size:12px}${style}</style>${body}`;

const SLACK_STYLE = `h3{margin:4px 0;overflow-wrap:anywhere} .fields{display:grid;grid-template-columns:1fr 1fr;gap:8px;overflow-wrap:anywhere} p{overflow-wrap:anywhere}
pre{background:#f8f8f8;border:1px solid #ddd;padding:8px;white-space:pre-wrap;overflow-wrap:anywhere} small{color:#666;display:block;margin:8px 0}
button{padding:6px 12px;border:1px solid #ccc;border-radius:4px;background:#fff;font-weight:bold} .primary{background:#007a5a;color:#fff} .danger{background:#e01e5a;color:#fff}`;

function pages(folder, out) {
    const script = readFileSync(require.resolve('adaptivecards/dist/adaptivecards.min.js'), 'utf8');
    for (const kind of Object.keys(TYPES)) {
        for (const [name, message] of Object.entries(read(join(folder, `${kind}.json`)))) {
            const title = `${kind}: ${name}`;
            const frame = (inner) => `<div class=name>${title}</div><div class=message>${inner}</div>`;
            const body = kind === 'slack'
                ? frame(message.blocks.map(block).join(''))
                : `${frame('<div id=card></div>')}<script>${script}</script><script>
const card = new AdaptiveCards.AdaptiveCard();
card.hostConfig = new AdaptiveCards.HostConfig({ fontFamily: '"DejaVu Sans", sans-serif' });
card.parse(${JSON.stringify(message.attachments[0].content).replaceAll('<', '\\u003c')});
document.getElementById('card').append(card.render());</script>`;
            writeFileSync(join(out, `${kind}-${name.replaceAll(' ', '-')}.html`), PAGE(title, kind === 'slack' ? SLACK_STYLE : '', body));
        }
    }
}

const [what, ...rest] = process.argv.slice(2);
switch (what) {
    case 'types': console.log(types(rest[0])); break;
    case 'broken': console.log(broken(rest[0])); break;
    case 'render': render(rest[0]); break;
    case 'pages': pages(rest[0], rest[1]); break;
    default: throw new Error(`unknown: ${what}`);
}
