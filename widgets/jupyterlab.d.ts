// The part of JupyterLab's and Lumino's API that the extension uses, for `tsc --checkJs`: their own
// declarations come with a thousand npm packages. From the oldest JupyterLab that is supported.

declare module "@lumino/signaling" {
  export interface ISignal<T, U> {
    connect(slot: (sender: T, args: U) => void, thisArg?: any): boolean;
    disconnect(slot: (sender: T, args: U) => void, thisArg?: any): boolean;
  }
  export class Signal<T, U> implements ISignal<T, U> {
    constructor(sender: T);
    connect(slot: (sender: T, args: U) => void, thisArg?: any): boolean;
    disconnect(slot: (sender: T, args: U) => void, thisArg?: any): boolean;
    emit(args: U): void;
    static clearData(object: unknown): void;
  }
}

declare module "@lumino/commands" {
  export class CommandRegistry {
    addCommand(
      id: string,
      options: { label?: string; isEnabled?: () => boolean; execute: () => unknown },
    ): unknown;
  }
}

declare module "@lumino/widgets" {
  import { CommandRegistry } from "@lumino/commands";
  import { ISignal } from "@lumino/signaling";
  export class Title {
    label: string;
    caption: string;
    closable: boolean;
    icon: unknown;
  }
  export class Widget {
    constructor(options?: { node?: HTMLElement });
    readonly node: HTMLElement;
    id: string;
    readonly title: Title;
    readonly parent: Widget | null;
    readonly disposed: ISignal<this, void>;
    readonly isDisposed: boolean;
    readonly isVisible: boolean;
    addClass(name: string): void;
    dispose(): void;
    hide(): void;
    setHidden(hidden: boolean): void;
  }
  export class Menu extends Widget {
    constructor(options: { commands: CommandRegistry });
    addItem(item: { command?: string; type?: "separator" }): unknown;
    open(x: number, y: number): void;
  }
  export class SplitPanel extends Widget {
    relativeSizes(): number[];
    setRelativeSizes(sizes: number[]): void;
  }
}

declare module "@jupyterlab/services" {
  import { ISignal } from "@lumino/signaling";
  export namespace KernelMessage {
    interface IMessage {
      header: { msg_id: string; msg_type: string; session: string };
      parent_header: object;
      content: object;
      buffers?: (ArrayBuffer | ArrayBufferView)[];
    }
    function createMessage(options: {
      msgType: string; channel: string; session: string; content: object; username?: string;
      subshellId?: string | null;
    }): IMessage;
  }
  export namespace Kernel {
    interface IFuture {
      readonly done: Promise<any>;
      onReply: (message: any) => void;
    }
    interface IKernelConnection {
      readonly name: string;
      readonly username: string;
      readonly clientId: string;
      readonly status: string;
      readonly connectionStatus: "connected" | "connecting" | "disconnected";
      readonly isDisposed: boolean;
      readonly supportsSubshells: boolean;
      readonly connectionStatusChanged: ISignal<this, "connected" | "connecting" | "disconnected">;
      requestExecute(content: { code: string; store_history?: boolean }): IFuture;
      requestDeleteSubshell(content: { subshell_id: string }): IFuture;
      sendShellMessage(message: KernelMessage.IMessage, expectReply: boolean, disposeOnDone: boolean): IFuture;
      sendControlMessage(message: KernelMessage.IMessage, expectReply: boolean, disposeOnDone: boolean): IFuture;
    }
  }
}

declare module "@jupyterlab/apputils" {
  import { Kernel, KernelMessage } from "@jupyterlab/services";
  import { ISignal } from "@lumino/signaling";
  import { Widget } from "@lumino/widgets";
  export interface ISessionContext {
    readonly session: { readonly kernel: Kernel.IKernelConnection | null } | null;
    readonly isRestarting: boolean;
    readonly kernelChanged: ISignal<this, unknown>;
    readonly statusChanged: ISignal<this, string>;
    readonly connectionStatusChanged: ISignal<this, string>;
    readonly iopubMessage: ISignal<this, KernelMessage.IMessage>;
    restartKernel(): Promise<void>;
  }
  export interface ICommandPalette {
    addItem(item: { command: string; category: string }): unknown;
  }
  export const ICommandPalette: unknown;
  export interface IToolbarWidgetRegistry {
    addFactory(factory: string, item: string, make: (panel: any) => Widget): unknown;
  }
  export const IToolbarWidgetRegistry: unknown;
  export class MainAreaWidget<T extends Widget = Widget> extends Widget {
    constructor(options: { content: T });
    readonly content: T;
    readonly toolbar: Widget;
  }
  interface DialogButton {
    label: string;
    accept: boolean;
  }
  export class Dialog {
    static cancelButton(options?: { label?: string }): DialogButton;
    static okButton(options?: { label?: string }): DialogButton;
    static warnButton(options?: { label?: string }): DialogButton;
  }
  export function showDialog(options: {
    title: string; body: Widget; buttons: DialogButton[];
  }): Promise<{ button: DialogButton }>;
  export namespace InputDialog {
    export function getItem(options: {
      title: string; label: string; items: string[]; okLabel: string;
    }): Promise<{ button: DialogButton; value: string | null }>;
  }
  export function showErrorMessage(title: string, error: Error | string): Promise<void>;
}

declare module "@jupyterlab/cells" {
  import { Widget } from "@lumino/widgets";
  export interface ICellModel {
    readonly id: string;
    readonly type: string;
    readonly sharedModel: { readonly source: string };
    getMetadata(key: string): any;
  }
  export class Cell extends Widget {
    readonly model: ICellModel;
    readonly ready: Promise<void>;
    isPlaceholder(): boolean;
  }
}

declare module "@jupyterlab/notebook" {
  import { ISessionContext } from "@jupyterlab/apputils";
  import { Cell } from "@jupyterlab/cells";
  import { ISignal } from "@lumino/signaling";
  import { Widget } from "@lumino/widgets";
  export class Notebook extends Widget {
    readonly widgets: readonly Cell[];
    readonly modelContentChanged: ISignal<this, void>;
  }
  export class NotebookPanel extends Widget {
    readonly content: Notebook;
    readonly sessionContext: ISessionContext;
  }
  export interface INotebookTracker {
    readonly currentWidget: NotebookPanel | null;
    readonly currentChanged: ISignal<this, NotebookPanel | null>;
    readonly widgetAdded: ISignal<this, NotebookPanel>;
    forEach(visit: (panel: NotebookPanel) => void): void;
  }
  export const INotebookTracker: unknown;
  export const NotebookActions: {
    runAll(notebook: Notebook, sessionContext?: ISessionContext): Promise<boolean>;
  };
}

declare module "@jupyterlab/docregistry" {
  export namespace DocumentRegistry {
    interface IOpenOptions {
      ref?: string | null; rank?: number; type?: string;
      mode?: "split-top" | "split-left" | "split-right" | "split-bottom" | "tab-before" | "tab-after";
    }
  }
}

declare module "@jupyterlab/application" {
  import { DocumentRegistry } from "@jupyterlab/docregistry";
  import { CommandRegistry } from "@lumino/commands";
  import { Widget } from "@lumino/widgets";
  export interface JupyterFrontEnd {
    readonly name: string;
    readonly commands: CommandRegistry;
    readonly shell: {
      add(widget: Widget, area?: string, options?: DocumentRegistry.IOpenOptions): void;
      activateById(id: string): void;
    };
  }
  export interface JupyterFrontEndPlugin<T> {
    id: string; description?: string; autoStart?: boolean; requires?: unknown[]; optional?: unknown[];
    activate: (app: JupyterFrontEnd, ...services: any[]) => T;
  }
  export interface ILayoutRestorer {
    add(widget: Widget, name: string): void;
  }
  export const ILayoutRestorer: unknown;
}

declare module "@jupyterlab/settingregistry" {
  import { ISignal } from "@lumino/signaling";
  export interface ISettings {
    readonly changed: ISignal<this, void>;
    get(key: string): { readonly composite: unknown };
  }
  export interface ISettingRegistry {
    load(plugin: string): Promise<ISettings>;
  }
  export const ISettingRegistry: unknown;
}

declare module "@jupyterlab/ui-components" {
  import { Widget } from "@lumino/widgets";
  export class LabIcon {
    constructor(options: { name: string; svgstr: string });
    element(options?: { tag?: string }): HTMLElement;
  }
  export class ToolbarButton extends Widget {
    constructor(options: {
      className?: string; icon?: LabIcon; label?: string; tooltip?: string; onClick?: () => void;
    });
  }
  export const caretDownEmptyIcon: LabIcon;
  export const refreshIcon: LabIcon;
}
