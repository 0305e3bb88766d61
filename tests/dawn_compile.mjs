// Compiles WGSL modules with Dawn, Chromium's WebGPU, which is the npm package `webgpu`.
//
//     node dawn_compile.mjs FOLDER MODULES
//
// FOLDER is where npm installed the package. MODULES is a JSON file, an array of entry points: {label, code, entry_point, bindings, constants}.
// `bindings` are the types of the buffers of group 0, and each element of `constants` are the override constants of one pipeline. Group 1 has
// a uniform buffer.
//
// Compiles for the first adapter that Dawn accepts. Without one, Dawn's null backend applies the rules of WGSL and WebGPU, and makes no code.
// Prints one line for each failure and one with the number of pipelines; exits with 1 if there was a failure.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, modules] = process.argv.slice(2);
const { create, globals } = await import(pathToFileURL(path.resolve(folder, 'node_modules/webgpu/index.js')));
Object.assign(globalThis, globals);

// Dawn's instances: collected as garbage, they would end under the device.
const instances = [];

async function openDevice() {
    for (const options of [[], ['backend=null']]) {
        const instance = create(options);
        instances.push(instance);
        const adapter = await instance.requestAdapter();
        // The limits are those that WebGPU guarantees.
        const requiredFeatures = ['subgroups'].filter((feature) => adapter?.features.has(feature));
        if (adapter) return [await adapter.requestDevice({ requiredFeatures }), adapter.info.description || 'null backend'];
    }
    throw new Error('Dawn has neither an adapter nor its null backend');
}

const [device, name] = await openDevice();
const failures = [];

// Calls `work`, and records the errors of the device and the exception under the label.
async function recordErrors(label, work) {
    device.pushErrorScope('validation');
    let error;
    try {
        await work();
    } catch (exception) {
        error = exception;
    }
    error = (await device.popErrorScope()) ?? error;
    if (error) failures.push(`${label}: ${error.message}`);
}

function layoutOf(bindings) {
    const groups = [
        bindings.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } })),
        [{ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'uniform' } }],
    ];
    const bindGroupLayouts = groups.map((entries) => device.createBindGroupLayout({ entries }));
    return device.createPipelineLayout({ bindGroupLayouts });
}

let pipelines = 0;
for (const { label, code, entry_point: entryPoint, bindings, constants } of JSON.parse(fs.readFileSync(modules, 'utf8'))) {
    // The same shaders are compiled without subgroups too.
    if (code.startsWith('enable subgroups') && !device.features.has('subgroups')) continue;
    let module;
    await recordErrors(label, async () => {
        module = device.createShaderModule({ label, code });
    });
    for (const values of constants) {
        pipelines += 1;
        await recordErrors(`${label} ${JSON.stringify(values)}`, () =>
            device.createComputePipelineAsync({
                layout: layoutOf(bindings),
                compute: { module, entryPoint, constants: values },
            }),
        );
    }
}

for (const failure of failures) console.log(failure);
console.log(`${pipelines} pipelines compiled by Dawn (${name}), ${failures.length} failures`);
// Dawn's threads would keep the process alive.
process.exit(failures.length ? 1 : 0);
