/* A call of a compiled loop, and its node in autograd's graph, without a word of Python between them: these
 * three files, one after the other.
 *
 * Python says once, in numbers, what is the same in all calls (recipes.py); what is out of the ordinary goes
 * the way in Python, forward by returning None, backward by calling `slow`. PyTorch's interface in C++
 * changes from version to version: so this is built where it runs, and where it cannot be, nothing is missing
 * but time. */

#include <Python.h>

#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>
#include <ATen/record_function.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/PyInterpreter.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/dynamo/compiled_autograd.h>
#include <torch/csrc/utils/object_ptr.h>

#include <map>
#include <memory>
#include <mutex>

namespace {

using at::Tensor;
using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;
using torch::dynamo::autograd::CompiledNodeArgs;
using torch::dynamo::autograd::SwapSavedVariables;
using Longs = std::vector<long>;

/* Numbers as Python has laid them out: each list with its length before it. */
struct Reader {
    const long *at;
    long one() { return *at++; }
    Longs list() {
        const long n = one();
        at += n;
        return Longs(at - n, at);
    }
    std::vector<Longs> lists() {
        std::vector<Longs> all(one());
        for (Longs &list : all) list = this->list();
        return all;
    }
};

/* ------------------------------------------------------------ a function in C, and memory for it */

struct Scratch {
    std::unique_ptr<char[]> workspace;
    long bytes = 0, total = -1;
    variable_list arrays; /* of so many rows, which nobody else reads */
};

struct Threads {
    void *run, *barrier; /* as pool.c has them */
    long least_work, least_weights;
};

struct Function {
    void (*run)(void *const *, const long *);
    long (*bytes)(long threads);
    long work, weights, shares;
    Longs order; /* for each pointer the place of its tensor */
    std::mutex mutex;
    std::vector<Scratch> free;

    explicit Function(Reader &read)
        : run((void (*)(void *const *, const long *))read.one()), bytes((long (*)(long))read.one()),
          work(read.one()), weights(read.one()), shares(read.one()), order(read.list()) {}

    Scratch take() {
        std::lock_guard<std::mutex> lock(mutex);
        if (free.empty()) return {};
        Scratch last = std::move(free.back());
        free.pop_back();
        return last;
    }
    void give_back(Scratch &&scratch) {
        std::lock_guard<std::mutex> lock(mutex);
        free.push_back(std::move(scratch));
    }
    void operator()(const variable_list &all, long steps, long rows, bool reverse, const Threads &pool,
                    Scratch &scratch) const {
        /* As `Library._threads` decides. */
        const long available = at::get_num_threads();
        long threads = 1, parts = 1;
        if (available > 1 && steps * rows * work >= pool.least_work) {
            const long most = shares ? shares : weights >= pool.least_weights ? available : 0;
            if (rows < available) parts = std::max(1L, std::min(most, available / std::max(1L, rows)));
            threads = rows < available ? parts * std::max(1L, rows) : available;
        }
        const long needed = bytes(threads) + 64;
        if (scratch.bytes < needed) scratch.workspace.reset(new char[scratch.bytes = needed]);
        std::vector<void *> pointers(6 + order.size());
        pointers[3] = pool.run, pointers[4] = pool.barrier;
        pointers[5] = (void *)(((uintptr_t)scratch.workspace.get() + 63) / 64 * 64);
        for (size_t i = 0; i < order.size(); i++)
            pointers[6 + i] = all[order[i]].defined() ? all[order[i]].data_ptr() : nullptr;
        const long numbers[] = {steps, rows, reverse, threads, parts, 0};
        run(pointers.data(), numbers);
    }
};

/* ------------------------------------------------------------ recipes; see recipes.py */

struct Forward : Function {
    long width; /* of the tape; 0: none */
    explicit Forward(Reader &read) : Function(read), width(read.one()) {}
};

enum { OF_Y, OF_TAPE, OF_GRAD, OF_SUM, OF_DX, OF_SCRATCH };

constexpr long LITTLE = 1 << 17; /* numbers that may be kept from call to call */
constexpr long TALL = 2048;      /* both as in gradients.py */

struct Backward : Function {
    Longs needs;
    bool of_start, shares;
    long widths = 0; /* of the arrays that are kept from call to call if they are little */
    long dx; /* its place among all tensors, or -1 */
    std::vector<Longs> arrays, products, sums;
    explicit Backward(Reader &read)
        : Function(read), needs(read.list()), of_start(read.one()), shares(read.one()), dx(read.one()),
          arrays(read.lists()), products(read.lists()), sums(read.lists()) {
        for (const Longs &array : arrays) widths += array[0] == OF_SCRATCH ? array[1] : 0;
    }
};

struct Loop {
    c10::DispatchKeySet keys; /* those of a tensor that does nothing of its own */
    at::TensorOptions options;
    long output, without_state;
    Threads pool;
    variable_list zeros, unread; /* like the states */
    std::unique_ptr<Forward> forward, taping;
    std::map<Longs, std::unique_ptr<Backward>> backward;

    bool is_plain(const Tensor &t) const {
        return keys.has_all(t.key_set()) && t.is_cpu() && t.dtype() == options.dtype();
    }
    variable_list operands(const variable_list &tensors) const {
        variable_list all;
        all.reserve(64);
        for (const Tensor &t : tensors) all.push_back(t.is_contiguous() ? t : t.contiguous());
        while (all.size() < without_state + 2 * zeros.size())
            all.insert(all.end(), zeros.begin(), zeros.end());
        return all;
    }
};

Tensor empty(c10::IntArrayRef sizes, const at::TensorOptions &options) {
    return at::detail::empty_cpu(sizes, options);
}
Tensor zeros(c10::IntArrayRef sizes, const at::TensorOptions &options) {
    return empty(sizes, options).zero_();
}
